#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The resolver: documents over https with a certificate for the name, definite and other answers, and what it never
# asks.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../verify.sh"
export set_source='verify = "full";' set_identity='refresh = 0.5;'
plc=did:plc:aaaaaaaaaaaaaaaaaaaaaa
key=zQ3shksUuQpEEeWh57M9Arm6LPudYGWzMckK8mVwKTuS2aymu

# certificate NAME SIGNED: $T/NAME.pem and .key; by our authority, or by itself.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-addext "subjectAltName=DNS:$1" -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null || bail "no certificate"
}

document() {
	printf '"%s": {"id": "%s", "alsoKnownAs": ["at://a.example"], "verificationMethod": [{"id": "#atproto",
		"type": "Multikey", "publicKeyMultibase": "%s"}]}' "$1" "$1" "$key"
}

# ask DID...: they are wanted, as if they had never been asked for.
ask() {
	local did

	for did; do
		sql "insert into standpipe.identities (did, wanted_at) values ('$did', now()) on conflict (did) do update
			set wanted_at = now(), next_try = now(), fetched_at = null, attempts = 0, error = null, curve = null, key = null"
	done
}

# answer DID: waits for a definite answer, and prints curve and error.
answer() {
	wait_until "[ \"\$(sql \"select fetched_at is not null from standpipe.identities where did = '$1'\")\" = t ]" 30
	sql "select coalesce(curve, 0), coalesce(error, '') from standpipe.identities where did = '$1'"
}

# failure DID: waits for an attempt without an answer, and prints the error.
failure() {
	wait_until "[ \"\$(sql \"select attempts > 0 from standpipe.identities where did = '$1'\")\" = t ]" 30
	sql "select fetched_at is null, error from standpipe.identities where did = '$1'"
}

web() {
	echo "did:web:localhost%3A$1"
}

certificate localhost
certificate other.example
cat "$T/localhost.pem" "$T/other.example.pem" >"$T/trusted.pem"
echo '{}' >"$T/documents.json"
documents_serve "$T/documents.json" --tls "$T/localhost.pem" "$T/localhost.key"; good=$documents_port
documents_serve "$T/documents.json" --tls "$T/other.example.pem" "$T/other.example.key"; other=$documents_port
certificate localhost	# another one, which nobody trusts
documents_serve "$T/documents.json" --tls "$T/localhost.pem" "$T/localhost.key"; untrusted=$documents_port
documents_serve "$T/documents.json"; plc_url=http://127.0.0.1:$documents_port
{
	echo "{ $(document "$(web "$good")"), $(document "$(web "$other")"), $(document "$(web "$untrusted")"),"
	echo "$(document "${plc}aa"), \"${plc}bb\": 500, \"${plc}cc\": 404, \"${plc}dd\": 410,"
	echo "\"${plc}ee\": \"redirect:$plc_url/${plc}aa\", \"${plc}ff\": \"<html>\","
	echo "\"${plc}gg\": {\"id\": \"${plc}aa\"}, \"${plc}hh\": \"$(head -c 70000 /dev/zero | tr '\0' x)\" }"
} >"$T/all.json"
documents_set "$T/all.json"

export SSL_CERT_FILE=$T/trusted.pem
pg_start
redis_start
standpipe_start
wait_until '[ "$(sql "select count(*) from standpipe.identities")" = 0 ]' 30
ask "$(web "$good")" "$(web "$other")" "$(web "$untrusted")" "${plc}"{aa,bb,cc,dd,ee,ff,gg,hh} did:web:127.0.0.1 \
	did:web:example.com%3A22 did:web:a.example:b did:key:"$key" did:plc:short
is "did:web over https, with a certificate for its name" "$(answer "$(web "$good")")" "1|"
is "did:plc from the directory" "$(answer "${plc}aa")" "1|"
is "an unknown DID has no key" "$(answer "${plc}cc")" "0|there is no such DID (any more): HTTP 404"
is "nor has one that is gone" "$(answer "${plc}dd")" "0|there is no such DID (any more): HTTP 410"
is "redirects are not followed" "$(answer "${plc}ee")" "0|HTTP 302: redirects are not followed"
is "what is no document is none" "$(answer "${plc}ff")" "0|not JSON"
is "nor is another account's" "$(answer "${plc}gg")" "0|not the document of this DID"
is "nor is one above 64 KB" "$(answer "${plc}hh")" "0|127.0.0.1: the answer is too large"
is "addresses, ports and paths are no did:web" "$(answer did:web:127.0.0.1; answer did:web:example.com%3A22
	answer did:web:a.example:b)" "$(printf '0|did:web of something else than a host name\n%.0s' 1 2 3)"
is "other methods are not asked for" "$(answer "did:key:$key"; answer did:plc:short)" \
	"0|neither did:plc nor did:web
0|no valid did:plc"
is "an error of the directory is no answer" "$(failure "${plc}bb")" "t|HTTP 500"
is "nor is a certificate for another name" "$(failure "$(web "$other")" | cut -d : -f 1)" "t|localhost"
is "nor is one that nobody trusts" "$(failure "$(web "$untrusted")" | cut -d : -f 1)" "t|localhost"
is "neither was asked for the document" "$(grep -c did.json "$T/plc.requests")" 1
standpipe_stop

allow_loopback=false plc_url=https://127.0.0.1:$good
: >"$T/plc.requests"
standpipe_start
ask "${plc}aa" "$(web "$good")"
is "without allow_loopback an address that is not public is not asked" "$(answer "${plc}aa"; answer "$(web "$good")")" \
	"0|127.0.0.1: its address is not public
0|did:web of something else than a host name"
is "not even connected to" "$(cat "$T/plc.requests")" ""
standpipe_stop
plc_url=http://plc.directory
standpipe_start
ok "nor is a directory over plain http" wait_until 'grep -q "identity.plc_url must be https" "$T/standpipe.log"' 30
plan
