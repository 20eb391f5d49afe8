#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The status page in a browser: its numbers are those of the instance, its charts have points, and it looks
# right in light, in dark and at the width of a phone.
. "$(dirname "$0")/../lib.sh"

browser=$(command -v chromium || command -v chromium-browser)
if [ -z "$browser" ]; then
	skip "chromium is not installed"
	plan
	exit
fi

get() {
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5) or exit 1;
		print $s "GET $ARGV[1] HTTP/1.0\r\n\r\n";
		local $/;
		(my $answer = <$s>) =~ s/.*?\r\n\r\n//s;
		print $answer' "$listen" "$1"
}

# browse ARGUMENTS: the page, after three seconds of its own time.
browse() {
	HOME=$T timeout -k 5 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
		--user-data-dir="$(mktemp -d "$T/browser.XXXXXX")" --virtual-time-budget=3000 "$@" \
		"http://$listen/" 2>>"$T/browser.log"
}

# picture NAME WIDTH HEIGHT [ARGUMENTS]: takes it and says its size, the colour of its first pixel and how many
# pixels of its right border have another one.
picture() {
	local name=$1 width=$2 height=$3

	shift 3
	browse --screenshot="$T/$name.png" --window-size="$width,$height" "$@" >/dev/null
	perl -MCompress::Zlib -e '
		binmode STDIN;
		local $/;
		my $png = <STDIN>;
		my ($w, $h, $data, $at) = (0, 0, "", 8);
		while ($at < length $png) {
			my ($n, $type) = unpack "N a4", substr $png, $at;
			my $body = substr $png, $at + 8, $n;
			($w, $h, my $depth, my $kind) = unpack "N N C C", $body if $type eq "IHDR";
			$bytes = $kind == 6 ? 4 : 3 if $type eq "IHDR";
			$data .= $body if $type eq "IDAT";
			$at += $n + 12;
		}
		my @rows = unpack "(a" . (1 + $w * $bytes) . ")*", uncompress $data;
		my @up = (0) x ($w * $bytes);
		for (@rows) {
			my ($filter, @v) = unpack "C*";
			for my $i (0 .. $#v) {
				my $left = $i < $bytes ? 0 : $v[$i - $bytes];
				my ($b, $c) = ($up[$i], $i < $bytes ? 0 : $up[$i - $bytes]);
				my $p = $left + $b - $c;
				my ($pa, $pb, $pc) = (abs $p - $left, abs $p - $b, abs $p - $c);
				$v[$i] = 255 & ($v[$i] + (0, $left, $b, ($left + $b) >> 1,
					$pa <= $pb && $pa <= $pc ? $left : $pb <= $pc ? $b : $c)[$filter]);
			}
			$first //= join " ", @v[0 .. 2];
			$foreign += join(" ", @v[-$bytes .. 2 - $bytes]) ne $first;
			@up = @v;
		}
		printf "%dx%d %s foreign=%d\n", $w, $h, $first, $foreign' <"$T/$name.png"
}

# part ID TAG: the texts inside an element of the page, tags as spaces.
part() {
	perl -0ne 'print $1 =~ s/<[^>]*>/ /gr if /<'"$2"' id="'"$1"'"[^>]*>(.*?)<\/'"$2"'>/s' "$T/page" | tr -s ' '
}

redis_start
"$relay" generate --out "$T/generated" --frames 6000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 1000
pg_start
listen=127.0.0.1:$(free_port)
standpipe_start
wait_committed "$last" 60 >/dev/null || bail "not committed"
ok "the history has points" wait_until '[ "$(get /history.json | grep -c "^\[")" -ge 4 ]' 30
is "as many columns as it says" "$(get /history.json | perl -MJSON::PP -0ne '
	my $h = decode_json $_;
	print join ",", grep { @$_ != @{$h->{columns}} } @{$h->{points}}')" ""
ok "the status says what is missing" wait_until 'get /status.json | grep -q "\"waiting\":[1-9]"' 30

browse --dump-dom --window-size=1280,1200 >"$T/page"
ok "the browser shows the page" test -s "$T/page"
waiting=$(get /status.json | grep -o '"waiting":[0-9]*' | cut -d: -f2)
figures=$(part figures dl)
ok "it is healthy" grep -q 'id="state"[^>]*>healthy<' "$T/page"
with_commas=$(perl -e '$_ = shift; 1 while s/^(\d+)(\d{3})/$1,$2/; print' "$last")
ok "the source's seq" grep -qF " $with_commas (1) " <<<"$figures"
ok "missing parents" grep -qE "missing parents $(perl -e '$_ = shift; 1 while s/^(\d+)(\d{3})/$1,$2/; print' "$waiting") \(0 given up\)" <<<"$figures"
ok "connected" grep -qE 'source connected ' <<<"$figures"
ok "every child" test "$(part children tbody | grep -oE '(reader|worker|keeper|monitor)-[0-9] +ready' | wc -l)" = 5
is "the charts have seven lines, all with points" "$(grep -oE '<polyline[^>]*points="[0-9]+,[0-9.]+[^"]*"' "$T/page" | wc -l)" 7

light=$(picture light 1280 1200)
dark=$(picture dark 1280 400 --blink-settings=preferredColorScheme=0)
phone=$(picture phone 390 1900)
is "in light" "$light" "1280x1200 244 246 248 foreign=0"
is "in dark" "$dark" "1280x400 15 20 26 foreign=0"
is "at the width of a phone nothing reaches over the border" "$phone" "390x1900 244 246 248 foreign=0"
if [ -n "${STANDPIPE_PICTURES-}" ]; then
	cp "$T"/*.png "$STANDPIPE_PICTURES"
fi
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
plan
