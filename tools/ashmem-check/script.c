// SPDX-License-Identifier: GPL-2.0
/* The beginning of the script of --fix. */
#include <stdio.h>

#include "check.h"

/* A file is replaced at once by a complete copy, which keeps its owner and mode. */
static const char functions[] =
	"drop_line() {	# FILE LINE\n"
	"	LC_ALL=C grep -qaxF -e \"$2\" \"$1\" || return 0\n"
	"	file=$(readlink -f \"$1\")\n"
	"	new=$(mktemp \"$file.XXXXXX\")\n"
	"	if ! cp -p \"$file\" \"$new\" ||\n"
	"	   ! { LC_ALL=C grep -avxF -e \"$2\" \"$file\" >\"$new\" || [ $? = 1 ]; }; then\n"
	"		rm -f \"$new\"\n"
	"		echo \"Cannot change $1; it is unchanged.\" >&2\n"
	"		exit 1\n"
	"	fi\n"
	"	mv -f \"$new\" \"$file\"\n"
	"}\n\n"
	"add_line() {	# FILE LINE\n"
	"	! LC_ALL=C grep -qaxF -e \"$2\" \"$1\" || return 0\n"
	"	# The last line may lack its newline.\n"
	"	[ -z \"$(tail -c 1 \"$1\" | tr '\\0' x)\" ] || echo >>\"$1\"\n"
	"	printf '%s\\n' \"$2\" >>\"$1\"\n"
	"}\n\n"
	"make_node() {	# PATH\n"
	"	minor=$(sed -n 's/^ *\\([0-9]*\\) ashmem$/\\1/p' \"$MISC\")\n"
	"	[ -n \"$minor\" ] || { echo 'There is no ashmem driver: load it.' >&2; exit 1; }\n"
	"	is=$(stat -c %t:%T \"$1\" 2>/dev/null) || :\n"
	"	if [ -L \"$1\" ] || [ \"$is\" != \"a:$(printf %x \"$minor\")\" ]; then\n"
	"		if [ -d \"$1\" ] && [ ! -L \"$1\" ]; then rmdir \"$1\"; fi\n"
	"		rm -f \"$1\"\n"
	"		mknod \"$1\" c 10 \"$minor\"\n"
	"	fi\n"
	"	chmod 0666 \"$1\"\n"
	"}\n";

/* In tests, paths are below the root of the test. */
void print_script(void)
{
	printf("#!/bin/sh\n"
	       "#\n"
	       "# Fixes what ashmem-check %s found on this machine. Valid for this boot only.\n"
	       "# Read it, then run it as root. What it cannot fix is a comment.\n"
	       "set -e\n"
	       "[ \"$(id -u)\" = 0 ] || { echo 'Run this as root.' >&2; exit 1; }\n\n"
	       "MISC=%s\n\n%s", VERSION, quoted(root_path("proc/misc")), functions);
}
