# SPDX-License-Identifier: MIT
# For tests of source.verify = "full": a directory of DID documents on loopback (bash, to be sourced after lib.sh).

# documents_serve FILE [ARGUMENTS]: sets documents_port.
documents_serve() {
	local out=$T/plc.$((++documents_n)).out

	"$top/tests/plc-stand-in" "$@" >"$out" 2>>"$T/plc.requests" &
	servers+=("$!")
	wait_until "grep -q '^listening' $out" 30 || bail "the stand-in for the directory does not listen"
	documents_port=$(sed -n 's/^listening //p' "$out")
}
documents_n=0

# documents_set FILE: what is served from now on. Moved into place: it is read at any time.
documents_set() {
	cat "$1" >"$T/documents.new" && mv "$T/documents.new" "$T/documents.json"
}

nothing_parked() {
	[ "$(sql 'select count(*) from standpipe.parked')" = 0 ]
}

# The hosts of did:web accounts in recordings are nowhere to be asked: the resolver's answers are given.
give_web_identities() {
	give_identities "$1" did:web:
}

# give_identities DOCUMENTS [PREFIX]: of all, or of those whose DID begins like that.
give_identities() {
	python3 - "$1" "${2-}" <<-'PYTHON' >"$T/identities.sql"
		import json, sys
		digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
		for did, document in json.load(open(sys.argv[1])).items():
		    if not did.startswith(sys.argv[2]):
		        continue
		    number = 0
		    for digit in document["verificationMethod"][0]["publicKeyMultibase"][1:]:
		        number = number * 58 + digits.index(digit)
		    raw = number.to_bytes(35, "big")
		    print("insert into standpipe.identities (did, curve, key, fetched_at) values ('%s', %d, '\\x%s', now());"
		          % (did, {b"\xe7\x01": 1, b"\x80\x24": 2}[raw[:2]], raw[2:].hex()))
	PYTHON
	psql -XAtq -v ON_ERROR_STOP=1 -f "$T/identities.sql"
}

# meddle PREFIX FRAMES DOCUMENTS: writes PREFIX.frames and PREFIX.diddocs.json with seven accounts treated as
# verify-full.sh says, and prints the seven DIDs, those with the most frames first.
meddle() {
	python3 - "$@" <<-'PYTHON'
		import collections, hashlib, json, re, struct, sys
		secp256k1_n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
		a_p256_key = "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"  # the example of the did:key specification
		prefix, to_frames, to_documents = sys.argv[1:]
		data, at, frames = open(prefix + ".frames", "rb").read(), 0, []
		while at < len(data):
		    n = struct.unpack(">I", data[at:at + 4])[0]
		    frames.append(bytearray(data[at + 4:at + 4 + n]))
		    at += 4 + n
		documents = json.load(open(prefix + ".diddocs.json"))
		accounts = [json.loads(line) for line in open(prefix + ".accounts.jsonl")]
		active = {a["did"] for a in accounts if a["active"]}
		def repo(frame):
		    m = re.search(rb"drepox.(did:plc:[a-z2-7]{24})", frame, re.S)
		    return m and m.group(1).decode()
		count = collections.Counter(r for r in map(repo, frames) if r in active)
		did = [d for d, n in count.most_common(7)]
		documents[did[1]]["verificationMethod"][0]["publicKeyMultibase"] = \
		    documents[did[0]]["verificationMethod"][0]["publicKeyMultibase"]
		del documents[did[2]]
		documents[did[3]]["verificationMethod"] = []
		documents[did[6]]["verificationMethod"][0]["publicKeyMultibase"] = a_p256_key
		# The same signature with s negated: as valid to the curve, and forbidden. It is part of the commit block.
		def with_high_s(frame):
		    link = re.search(rb"fcommit\xd8\x2a\x58\x25\x00(.{36})", frame, re.S)
		    if not link:
		        return frame
		    cid = bytes(link.group(1))
		    start = frame.rfind(cid, 0, frame.find(b"csig\x58\x40")) + len(cid)
		    length = shift = 0
		    back = start - len(cid) - 2  # its varint of two bytes: a commit block has about 200
		    for byte in frame[back:back + 2]:
		        length |= (byte & 0x7f) << shift
		        shift += 7
		    block = bytearray(frame[start:start + length - len(cid)])
		    s = block.index(b"csig\x58\x40") + 6 + 32
		    block[s:s + 32] = (secp256k1_n - int.from_bytes(block[s:s + 32], "big")).to_bytes(32, "big")
		    return bytearray((frame[:start] + block + frame[start + len(block):]).replace(
		        cid, cid[:4] + hashlib.sha256(block).digest()))
		frames = [with_high_s(f) if repo(f) == did[5] else f for f in frames]
		seen = 0
		for frame in frames:
		    at = frame.find(b"hprevData\xd8\x2a\x58\x25\x00")
		    if repo(frame) == did[4] and at > 0:
		        seen += 1
		        if seen % 3 == 0:
		            frame[at + 9 + 5 + 10] ^= 4
		with open(to_frames, "wb") as f:
		    for frame in frames:
		        f.write(struct.pack(">I", len(frame)) + frame)
		json.dump(documents, open(to_documents, "w"))
		print("\n".join(did))
	PYTHON
}
