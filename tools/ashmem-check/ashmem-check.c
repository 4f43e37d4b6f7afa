// SPDX-License-Identifier: GPL-2.0
/*
 * ashmem-check: checks whether Android's shared memory works on this machine. If it does
 * not, says what is wrong and what to do. See --help.
 *
 * machine.c, module.c and modprobe.c check the kernel and the driver, manager.c and node.c
 * the device nodes. region.c and compat.c try the calls. security.c, waydroid.c and
 * containers.c check the users of the device. All report findings through report.c, a cause
 * before its consequences.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "check.h"

static const char usage[] =
	"Usage: ashmem-check [--json | --fix] [--purge]\n"
	"\n"
	"Checks whether Android's shared memory, /dev/ashmem, works for the user who runs this\n"
	"and for Waydroid, redroid and other containers. Prints one line for each finding,\n"
	"\"ok\", \"note\", or \"BROKEN\" with what to do, then the verdict. Root is not required,\n"
	"but can check more. What could not be checked is a note, \"not checked\", and then the\n"
	"verdict is not \"good\". Creates regions of its own and changes nothing else.\n"
	"\n"
	"  --json     print a JSON object instead: findings, an array of objects with id, status\n"
	"             (ok, note, broken), text and advice (or null); problems, the number of\n"
	"             broken findings; verdict (good, broken, or unknown if nothing is broken\n"
	"             but something was not checked); version\n"
	"  --fix      print a script instead that fixes what is BROKEN; what a script cannot fix\n"
	"             is a comment in it. Runs nothing: read the script, then run it as root\n"
	"  --purge    also try ASHMEM_PURGE_ALL_CACHES, as root. This drops all unpinned memory\n"
	"             of all programs on the system, which must recreate it\n"
	"  --help     print this help\n"
	"  --version  print the version\n"
	"\n"
	"ASHMEM_CHECK_ROOT names a directory to use in place of / for files and nodes, for tests.\n"
	"\n"
	"Exit status: 0 nothing is BROKEN, 1 something is BROKEN, 2 wrong usage or an internal\n"
	"error, 3 nothing is BROKEN, but something was not checked.\n";

static const struct option options[] = {
	{ "fix", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "purge", no_argument, NULL, 'p' },
	{ "version", no_argument, NULL, 'v' },
	{ },
};

int main(int argc, char **argv)
{
	enum form form = LINES;
	bool purge = false;
	int option, fd, status;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			return fputs(usage, stdout) < 0 || fflush(stdout) ? 2 : 0;
		case 'f':
		case 'j':
			if (form != LINES) {
				fputs(usage, stderr);
				return 2;
			}
			form = option == 'j' ? JSON : SCRIPT;
			break;
		case 'p':
			purge = true;
			break;
		case 'v':
			return puts("ashmem-check " VERSION) < 0 || fflush(stdout) ? 2 : 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}

	report_begin(form);
	check_machine();
	check_manager();
	fd = check_nodes();
	if (fd >= 0) {
		check_region(purge);
		check_compat();
		close(fd);
	}
	check_memfd();
	check_security();
	check_waydroid(fd >= 0);
	check_containers();
	status = report_end();
	if (status == 2)
		errx(2, "Cannot write all findings. Check for a full disk or a closed pipe.");
	return status;
}
