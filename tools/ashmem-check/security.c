// SPDX-License-Identifier: GPL-2.0
/* Checks security modules that may prevent programs from using the device. */
#include <string.h>
#include <sys/xattr.h>

#include "check.h"

static const char *label_of(const char *path)
{
	static char label[256];
	ssize_t len = getxattr(path, "security.selinux", label, sizeof(label) - 1);

	label[len < 0 ? 0 : len] = '\0';
	return *label ? label : "nothing";
}

static void check_selinux(void)
{
	note("security", "SELinux is enforcing, and the label of /dev/ashmem is %s",
	     label_of(root_path("dev/ashmem")));
	if (exists("system/build.prop")) {
		advise("Android's policy expects ashmem_device, and ashmem_libcutils_device ");
		advise("for the node with the boot ID; restorecon sets these labels");
	} else {
		advise("if a container is refused the device, see ausearch -m avc; ");
		advise("sudo setsebool -P container_use_devices on lets containers use devices");
	}
}

void check_security(void)
{
	char *enforce = read_line("sys/fs/selinux/enforce");
	char *profile = read_line("proc/self/attr/current");

	if (enforce && *enforce == '1') {
		check_selinux();
	} else if (!enforce && profile && strstr(profile, " (enforce)")) {
		note("security", "AppArmor confines this process: %s", profile);
		advise("calls that are refused here may be allowed outside; see dmesg on the host");
	}
}
