#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A source over TLS whose certificate is wrong in each way there is, or which has no TLS: it is refused for exactly that
# reason, asked again, and nothing is read; with the right certificate it is read. TLS cut in its handshake is only
# a delay.
. "$(dirname "$0")/../lib.sh"
export set_source="ca_file = \"$T/ca.pem\";"

# key_and_request NAME SUBJECT
key_and_request() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$T/$1.key" \
		-out "$T/$1.csr" 2>/dev/null || bail "no key"
}

# authority NAME
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null || bail "no authority"
}

# certificate NAME AUTHORITY SUBJECT DAYS: signed by the authority; by itself if that is its own name.
certificate() {
	local by=(-CA "$T/$2.pem" -CAkey "$T/$2.key" -CAcreateserial)

	[ "$1" != "$2" ] || by=(-signkey "$T/$1.key")
	key_and_request "$1"
	openssl x509 -req -in "$T/$1.csr" "${by[@]}" -days "$4" -extfile <(echo "subjectAltName=$3") \
		-out "$T/$1.pem" 2>/dev/null || bail "no certificate"
}

# serve NAME: the relay is at $address with that certificate; without NAME it is a server without TLS.
serve() {
	if [ $# -gt 0 ]; then
		relay_start serve "$T/generated.frames" --listen "$address" --tls "$T/$1.pem" "$T/$1.key"
		return
	fi
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 5, ReuseAddr => 1) or die;
		while (my $c = $s->accept) { print $c "HTTP/1.1 400 Bad Request\r\n\r\n" }' "$address" &
	relay_pid=$!
	servers+=("$relay_pid")
}

tries() {
	sed -n 's/.*source.unreachable.* attempts=\([0-9]*\) .*/\1/p' "$T/standpipe.log" | tail -n 1
}

stop_both() {
	standpipe_stop
	relay_stop
}

# refuses CLAIM REASON [NAME]
refuses() {
	: >"$T/standpipe.log"
	serve "${@:3}"
	standpipe_start
	ok "$1: refused" wait_until 'grep -q "source.unreachable" "$T/standpipe.log"' 20
	is "$1: the reason" "$(sed -n '/source.unreachable/s/.* \(why=[a-z]*\) .* detail="\(.*\)"$/\1 \2/p' "$T/standpipe.log" |
		sort -u)" "why=tls TLS with $address: $2"
	is "$1: never read" "$(grep -c source.connected "$T/standpipe.log") $(redis xlen "$stream")" "0 0"
}

address=127.0.0.1:$(free_port)
authority ca
authority stranger
certificate right ca IP:127.0.0.1 2
certificate elsewhere ca IP:127.0.0.2,DNS:localhost 2
certificate late ca IP:127.0.0.1 -1
certificate foreign stranger IP:127.0.0.1 2
certificate alone alone IP:127.0.0.1 2
"$relay" generate --out "$T/generated" --frames 300 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
redis_start
refuses "a certificate for another host" "certificate refused: IP address mismatch" elsewhere
stop_both
refuses "an expired certificate" "certificate refused: certificate has expired" late
stop_both
refuses "a certificate that nobody signed" "certificate refused: self-signed certificate" alone
stop_both
refuses "a certificate of an unknown authority" "certificate refused: unable to get local issuer certificate" foreign
stop_both
refuses "no TLS" "wrong version number"
ok "it is asked again" wait_until '[ "$(tries)" -ge 2 ]' 20
is "nothing is stored of any of them" "$(sql 'select count(*) from bsky.records')" 0

relay_stop
serve right
"$top/tests/cutting-proxy" "${address#*:}" 0 1 7 120 400 600 >"$T/proxy.out" 2>"$T/proxy.cuts" &
servers+=("$!")
ok "with the right certificate it is read, without a restart" wait_committed "$(last_seq "$T/generated.frames")" 40
standpipe_stop
ok "0 differences" "$compare" "$T/generated"

redis flushall >/dev/null
pg_start
: >"$T/standpipe.log"
wait_until 'grep -q "^listening" "$T/proxy.out"' 10 || bail "the proxy does not listen"
relay_url=wss://127.0.0.1:$(sed -n 's/^listening //p' "$T/proxy.out")
standpipe_start
ok "TLS cut in the handshake: everything is stored in the end" wait_committed "$(last_seq "$T/generated.frames")" 60
is "it was cut at every place" "$(cut -d ' ' -f 3 "$T/proxy.cuts" | tr '\n' ' ')" "0 1 7 120 400 600 "
is "connected once" "$(grep -c source.connected "$T/standpipe.log")" 1
is "the reason is TLS" "$(grep -c 'source.unreachable.* why=tls ' "$T/standpipe.log")" \
	"$(grep -c source.unreachable "$T/standpipe.log")"
ok "0 differences" "$compare" "$T/generated"
plan
