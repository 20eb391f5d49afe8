#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian package names the version and the packages that the project names elsewhere.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

# Packages of a field of etc/debian/control, versions and substitutions left out.
field() {
	awk -v field="$1:" '
		$1 == field { inside = 1; sub(/^[^:]*:/, "") }
		inside && /^[A-Z]/ { inside = 0 }
		inside { print }' etc/debian/control | tr ',' '\n' | sed 's/([^)]*)//; s/[[:space:]]//g' | grep -vE '^$|\$|debhelper-compat'
}

# What building and running needs, by the names a package uses: a metapackage for the servers, and nothing that
# every Debian system or build has.
listed() {
	sed 's/#.*//' etc/packages.debian | awk 'NF == 1 { print $1 }' |
		sed 's/^postgresql-15$/postgresql/; s/^redis-tools$/redis-server/' |
		grep -vxE 'gcc|libc6-dev|util-linux|postgresql-client-15' | sort
}

is "the package has the version of meson.build" \
	"$(sed -n '1s/.*(\(.*\)-[0-9]*).*/\1/p' etc/debian/changelog)" \
	"$(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build | head -n 1)"
is "control names what etc/packages.debian names" \
	"$({ field Build-Depends; field Depends; field Recommends; } | sort)" "$(listed)"
ok "rules can be run" test -x etc/debian/rules
plan
