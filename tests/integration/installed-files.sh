#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What goes around the program: unit, manual pages, completion, sample configuration, help. They say what the
# tables of keys, commands and SQL objects say, and the tools that read them have no complaint.
. "$(dirname "$0")/../lib.sh"

etc=$build/etc

# have PROGRAM PACKAGE CLAIM...: else each claim is skipped with the reason.
have() {
	local program=$1 package=$2 claim

	command -v "$program" >/dev/null && return
	shift 2
	for claim; do skip "$claim: no $program (package $package)"; done
	return 1
}

# ---- the service ----

if have systemd-analyze systemd "hardening" "verify"; then
	# its last line: → Overall exposure level for standpipe.service: 1.2 OK
	exposure=$(systemd-analyze security --offline=yes "$etc/standpipe.service" | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
	ok "the unit's exposure level is at most 2.0" awk -v level="$exposure" 'BEGIN { exit !(level != "" && level <= 2.0) }'
	diag <<<"exposure level $exposure"
	# under its own name, but running what is built here
	mkdir "$T/unit"
	sed -E "s|=[^ ]*/bin/standpipe |=$standpipe |" "$etc/standpipe.service" >"$T/unit/standpipe.service"
	ok "systemd-analyze verify accepts the unit" systemd-analyze verify --man=no "$T/unit/standpipe.service"
	none "without a warning" "$(systemd-analyze verify --man=no "$T/unit/standpipe.service" 2>&1 | grep standpipe)"
fi
if have systemd-sysusers systemd "sysusers"; then
	mkdir -p "$T/root/etc"
	ok "systemd-sysusers makes the user" systemd-sysusers --root="$T/root" "$top/etc/systemd/standpipe.sysusers"
	is "that the unit runs as" "$(cut -d: -f1 "$T/root/etc/passwd")" "$(sed -n 's/^User=//p' "$etc/standpipe.service")"
fi
is "the unit's stop limit is longer than the default drain" \
	"$(awk -v stop="$(sed -n 's/^TimeoutStopSec=//p' "$etc/standpipe.service")" \
		-v drain="$("$standpipe" config -c /dev/null | sed -n 's/^\tdrain_timeout = \(.*\);/\1/p')" \
		'BEGIN { print (stop > drain + 10) }')" 1
ok "the service's configuration is valid" "$standpipe" check -c "$top/etc/systemd/standpipe.conf"

# ---- containers: no engine is asked, images are not built ----

ok "the containers' configuration is valid" "$standpipe" check -c "$top/etc/container/standpipe.conf"
if have docker-compose docker-compose "compose"; then
	export POSTGRES_PASSWORD=test HOME=$T
	ok "docker-compose accepts etc/compose.yaml" docker-compose -f "$top/etc/compose.yaml" config -q
	mounted=$(docker-compose -f "$top/etc/compose.yaml" config | sed -nE "s|^ *- ($top/[^:]*):.*|\1|p")
	ok "it mounts files of ours" test -n "$mounted"
	none "every one is there" "$(for file in $mounted; do [ -e "$file" ] || echo "$file"; done)"
	none "every file that the Dockerfile copies too" "$(sed -nE 's/^COPY ([^-. ]+) .*/\1/p' "$top/etc/container/Dockerfile" |
		while read -r file; do [ -e "$top/$file" ] || echo "$file"; done)"
fi

# ---- configuration: table, sample, manual ----

STANDPIPE_CONFIG=/dev/null "$standpipe" config >"$T/defaults"
"$standpipe" config -c "$top/etc/standpipe.conf" >"$T/sample"
ok "the sample file says the defaults" cmp "$T/defaults" "$T/sample"
"$standpipe" config -c "$T/defaults" >"$T/again"
ok "what config prints parses to the same" cmp "$T/defaults" "$T/again"

# keys: section, name, value, accepted of every key, tabs between.
keys() {
	awk '
		/^[a-z]+: \{/ { section = substr($1, 1, length($1) - 1) }
		/^\t# accepted: / { accepted = $0; sub(/^\t# accepted: /, "", accepted); sub(/; on reload: .*/, "", accepted) }
		/^\t[a-z_]+ = / { value = $0; sub(/^[^=]*= /, "", value); sub(/;$/, "", value)
			print section "\t" $1 "\t" value "\t" accepted }' "$T/defaults"
}
is "every key of the table is printed" "$(keys | wc -l)" "$(grep -c '^	{ AT(' "$top/src/io/conf_keys.c")"

# as_file: section, name, value of keys, tabs between, as a configuration.
as_file() {
	awk -F '\t' '
		$1 != section { if (section) print "};"; section = $1; print section ": {" }
		{ printf "\t%s = %s;\n", $2, $3 }
		END { print "};" }'
}

# complaints CLAIM FILE KEYS: refused, and there is a complaint with its line about each of the keys (one a line).
complaints() {
	"$standpipe" check -c "$2" >"$T/complaints" 2>&1
	is "$1: exit 78" $? 78
	none "$1: a complaint with its line for each key" \
		"$(while read -r key; do grep -qE "^$2:[0-9]+: $key: " "$T/complaints" || echo "$key"; done <<<"$3")"
}

# Values just outside what is accepted, all in one file.
outside() {
	keys | awk -F '\t' -v OFS='\t' -v side="$1" '
		$4 ~ /^-?[0-9.]+\.\.[0-9.]+L?$/ {
			split($4, range, /\.\./)
			if (range[1] ~ /\./ || range[2] ~ /\./)
				print $1, $2, sprintf("%.2f", side == "below" ? range[1] - 0.05 : range[2] + 0.5)
			else {
				sub(/L/, "", range[2])
				print $1, $2, sprintf("%.0fL", side == "below" ? range[1] - 1 : range[2] + 1)
			}
		}'
}
ok "there are keys with a range" test "$(outside below | wc -l)" -ge 15
for side in below above; do
	outside $side | as_file >"$T/outside.$side"
	complaints "numbers $side what is accepted" "$T/outside.$side" "$(outside $side | awk '{ print $1 "." $2 }')"
done

# The ends of what is accepted; of texts, which have none, something that is not the default.
texts='source.urls	["ws://a.example:1/x", "wss://b.example"]	["ws://[::1]"]
source.start	"oldest"	"4711"
source.collections	["app.bsky.*", "com.example.thing"]	["app.bsky.feed.like"]
source.ca_file	"/a/b"	""
redis.url	"unix:///run/r.sock?db=3"	"redis://h:1/2"
redis.password_file	"/a/b"	""
redis.stream	"a:b"	"c"
redis.group	"g"	"h"
postgres.conninfo	"host=/a dbname=\"b\\c\""	"postgresql://h:1/d?application_name=x"
identity.plc_url	"https://h.example:1/p"	"https://i.example"
http.listen	""	"[::1]:1"
runtime.dir	"/a"	"/a/b c"
runtime.name	"a-b_9"	"b"'
inside() {
	{ sed 's/^\([a-z]*\)\./text\t\1\t/' <<<"$texts"; keys | sed 's/^/key\t/'; } | awk -F '\t' -v OFS='\t' -v side="$1" '
		$1 == "text" { text[$2, $3] = $(3 + side); next }
		($2, $3) in text { print $2, $3, text[$2, $3]; next }
		$5 ~ /^-?[0-9.]+\.\.[0-9.]+L?$/ { split($5, ends, /\.\./); print $2, $3, ends[side]; next }
		$5 == "true or false" { print $2, $3, side == 1 ? "true" : "false"; next }
		{ n = split($5, words, / or /); print $2, $3, words[side == 1 ? 1 : n] }'
}
for side in 1 2; do
	inside $side | as_file >"$T/inside.$side"
	"$standpipe" config -c "$T/inside.$side" | sed -n 's/^\t\([a-z_]* = .*\)/\1/p' >"$T/printed" || bail "config does not take $(cat "$T/inside.$side")"
	is "every key comes out of config as it was set ($side)" "$(cat "$T/printed")" "$(inside $side | sed -E 's/^[a-z]+\t([a-z_]+)\t(.*)/\1 = \2;/')"
done
is "each was set to something else than its default once, but the one that has no other value" \
	"$({ inside 1; inside 2; } | sort -u | comm -13 <(keys | cut -f 1-3 | sort) - | cut -f 1-2 | sort -u |
		comm -13 - <(keys | cut -f 1-2 | sort))" $'source\ttype'

# Values of another kind, and texts that are none.
keys | awk -F '\t' -v OFS='\t' '{ print $1, $2, $3 ~ /^["[]/ ? 17 : "\"text\"" }' | as_file >"$T/kinds"
complaints "values of another kind" "$T/kinds" "$(keys | awk '{ print $1 "." $2 }')"
keys | awk -F '\t' -v OFS='\t' '$3 ~ /^\[/ { print $1, $2, "[\"\\x01\"]" } $3 ~ /^"/ { print $1, $2, "\"\\x01\"" }' | as_file >"$T/controls"
complaints "texts of control bytes" "$T/controls" "$(keys | awk -F '\t' '$3 ~ /^["[]/ { print $1 "." $2 }')"

if have mandoc mandoc "manual pages"; then
	for page in standpipe.1 standpipe.conf.5 standpipe-schema.7; do
		none "mandoc has no complaint about $page" "$(mandoc -T lint "$etc/$page" 2>/dev/null |
			grep -vE 'referenced manual not found|mandoc.db')"
		mandoc -T utf8 -O width=500 "$etc/$page" 2>/dev/null | sed 's/.\x08//g' >"$T/$page"
	done
	none "standpipe.conf(5) has every key with its default and what is accepted" \
		"$(keys | while IFS=$'\t' read -r section name value accepted; do
			grep -A 2 -F -- "$section.$name = $value" "$T/standpipe.conf.5" | grep -qF -- "Accepted: $accepted." ||
				echo "$section.$name = $value ($accepted)"
		done)"
	is "and no other" "$(grep -cE '^ +[a-z]+\.[a-z_]+ = ' "$T/standpipe.conf.5")" "$(keys | wc -l)"
fi

# ---- commands: table, help, manual, completion ----

commands=$("$standpipe" --help | sed -n '/^Commands:/,/^$/s/^  \([^ ]*\) .*/\1/p')
is "every command of the table is in --help" "$(wc -w <<<"$commands")" \
	"$(grep -c '^	{ "' "$top/supervisor/commands/commands.c")"
for command in $commands; do
	"$standpipe" "$command" --help >"$T/help" 2>"$T/help.errors"
	is "$command --help: exit 0, nothing on stderr" "$? $(cat "$T/help.errors")" "0 "
	ok "$command --help gives an example" grep -qE '^  (standpipe|[a-z].*standpipe) ' "$T/help"
	none "$command: its examples are used as it is used" "$(
		sed -nE 's/^  standpipe ([^|&>]*).*/\1/; T; s/   .*//; p' "$T/help" | while read -ra words; do
			"$standpipe" "${words[@]}" -c /nonexistent/standpipe.conf >/dev/null 2>&1 </dev/null
			[ $? != 64 ] || echo "${words[*]}"
		done)"
	"$standpipe" "$command" --no-such-option >"$T/usage" 2>&1
	is "$command --no-such-option: exit 64" $? 64
	ok "with the usage" grep -q "^usage: standpipe $command" "$T/usage"
	[ ! -f "$T/standpipe.1" ] || ok "standpipe(1) has $command as it is used" \
		grep -qxF -- "     $(sed -n '1s/^usage: standpipe //p' "$T/help")" "$T/standpipe.1"
done
codes=$(sed -n 's/^\tEXIT_[A-Z_]* = \([0-9]*\),.*/\1/p' "$top/supervisor/exit_codes.h")
is "--help has every exit code" "$("$standpipe" --help | sed -n '/^Exit codes/,$p' | grep -oE '\b[0-9]+\b' | sort -n)" "$(sort -n <<<"$codes")"
[ ! -f "$T/standpipe.1" ] || is "standpipe(1) too" \
	"$(sed -n '/^EXIT STATUS/,/^EXAMPLES/s/^ *\([0-9][0-9]*\) .*/\1/p' "$T/standpipe.1" | sort -n)" "$(sort -n <<<"$codes")"

[ ! -f "$T/standpipe.1" ] || is "standpipe(1) has every signal of run --help" \
	"$(sed -n '/^SIGNALS/,/^ENVIRONMENT/p' "$T/standpipe.1" | grep -oE '\b(TERM|INT|HUP|USR1|USR2)\b' | sort -u)" \
	"$("$standpipe" run --help | grep -oE '\b(TERM|INT|HUP|USR1|USR2)\b' | sort -u)"

. "$top/etc/bash-completion"
# completed WORDS...: what bash would offer for the last word.
completed() {
	COMP_WORDS=("$standpipe" "$@") COMP_CWORD=$#
	_standpipe
	printf '%s\n' "${COMPREPLY[@]}" | sort
}
is "the first word: every command" "$(completed '' | grep -v '^-')" "$(sort <<<"$commands")"
is "begun" "$(completed mi)" migrate
is "actions behind a command" "$(completed pending '' | grep -v '^-' | tr '\n' ' ')" "drop list retry top "
none "only there" "$(completed pending list '' | grep -v '^-')"
is "its options" "$(completed pending list --a)" --all
none "and nobody else's" "$(completed check --a)"
is "behind -c a file" "$(completed check -c "$T/defa")" "$T/defaults"

# ---- the schema ----

pg_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
if [ -f "$T/standpipe-schema.7" ]; then
	relations=$(sql "select nspname || '.' || relname from pg_class c join pg_namespace n on n.oid = relnamespace
		where nspname in ('bsky', 'standpipe') and relkind in ('r', 'p', 'v', 'm') order by 1")
	ok "there are tables and views" test "$(wc -l <<<"$relations")" -ge 30
	none "standpipe-schema(7) names every table and view" \
		"$(for name in $relations; do grep -qE "^ +$name$" "$T/standpipe-schema.7" || echo "$name"; done)"
	none "and none that is not there" "$(sed -nE 's/^ {5}((bsky|standpipe)\.[a-z_]+)$/\1/p' "$T/standpipe-schema.7" |
		grep -vxF "$relations")"
	none "every function with a comment is there" "$(sql "select nspname || '.' || proname from pg_proc p
		join pg_namespace n on n.oid = pronamespace where nspname in ('bsky', 'standpipe')
		and obj_description(p.oid) is not null" | while read -r name; do
			grep -qE "^ +$name\(" "$T/standpipe-schema.7" || echo "$name"; done)"
fi
plan
