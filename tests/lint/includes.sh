#!/bin/sh
# SPDX-License-Identifier: MIT
# Who may include whom, and which file owns which foreign header.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

includes() {
	find src workers supervisor -name '*.[ch]' | sort | xargs grep -HE '^#[ 	]*include'
}

# Layer of a path, then the layers it may include; "io/conf" etc. stand for one header of a layer.
direction='
function layer(path) {
	if (path ~ /^supervisor\/commands\//) return "commands"
	sub(/^src\//, "", path)
	return substr(path, 1, index(path, "/") - 1)
}
BEGIN {
	may["base"] = " base "
	may["codec"] = " codec base "
	may["domain"] = " domain codec base "
	may["io"] = " io codec base "
	may["workers"] = " workers domain io codec base "
	may["supervisor"] = " supervisor base io/conf.h io/confine.h io/chan.h io/notify.h "
	# commands show and repeat what a worker writes: config --sql, dead-letter retry
	may["commands"] = " commands supervisor workers domain io codec base "
	# the two tables: roles and commands
	also["supervisor/main.c"] = " workers/child.h supervisor/commands/commands.h "
	# the one writer of status --json and /status.json
	also["supervisor/commands/status.c"] = " workers/monitor_status.h "
}
{
	file = $0; sub(/:.*/, "", file)
	if (!match($0, /"[^"]*"/)) next
	header = substr($0, RSTART + 1, RLENGTH - 2)
	from = layer(file)
	to = index(header, "/") ? layer(header) : from
	if (index(may[from], " " to " ") || index(may[from], " " header " ") || index(also[file], " " header " ")) next
	print file ": " header
}'

owner='
BEGIN {
	own["libpq-fe.h"] = "^src/io/pg"
	own["postgres"] = "^src/io/pg"
	own["hiredis"] = "^src/io/stream"
	own["seccomp.h"] = "^src/io/confine"
	own["libconfig.h"] = "^src/io/conf"
	own["wslay"] = "^src/io/websocket"
	own["openssl/ssl.h"] = "^src/io/(websocket|fetch)"
	own["openssl/x509"] = "^src/io/(websocket|fetch)"
	own["openssl/evp.h"] = "^src/(codec/cid|codec/sign|domain/ident|io/websocket_upgrade)[.]c$"
	own["openssl/hmac.h"] = "^src/domain/ident[.]c$"
	own["event2/http.h"] = "^(workers/monitor|src/io/fetch)[.]c$"
	own["jansson.h"] = "^src/codec/json"
	own["secp256k1"] = "^src/codec/sign[.]c$"
	own["openssl/ec.h"] = "^src/codec/sign[.]c$"
	own["openssl/core_names.h"] = "^src/codec/sign[.]c$"
}
{
	file = $0; sub(/:.*/, "", file)
	if (!match($0, /<[^>]*>/)) next
	header = substr($0, RSTART + 1, RLENGTH - 2)
	for (name in own)
		if (index(header, name) == 1 && file !~ own[name])
			print file ": " header
}'

ok "there are files to look at" test "$(includes | wc -l)" -gt 50
none "every include goes down the layers" "$(includes | awk "$direction")"
none "every foreign header has one owner" "$(includes | awk "$owner")"
plan
