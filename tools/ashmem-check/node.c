// SPDX-License-Identifier: GPL-2.0
/*
 * Checks the device nodes: /dev/ashmem, and the node with the boot ID at the end of its
 * name, which is the only one that libcutils of Android 16 opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "check.h"

#define MISC_MAJOR	10
#define MAIN_NODE	"dev/ashmem"

struct node {
	const char *path;
	/* The ID of its findings. */
	const char *id;
	/* Who needs it, in words: "which ..." */
	const char *needed;
	/* Whether a symbolic link is good enough outside of containers. */
	bool may_be_link;
};

/* Says how to get the node into this container. */
static void advise_to_pass(const struct node *node)
{
	const char *id = machine.boot_id ?: "BOOT_ID", *path = root_path(node->path);

	if (!strcmp(machine.container, "docker") || !strcmp(machine.container, "podman")) {
		advise("recreate the container while the host has the nodes, with --device ");
		advise("/dev/ashmem --device /dev/ashmem%s, or with --privileged", id);
	} else if (strcmp(machine.container, "lxc")) {
		advise("have the host pass both nodes into the container, then restart it");
	} else if (node->may_be_link) {
		advise("restart the container with lxc.cgroup2.devices.allow = c %d:%s rwm and ",
		       MISC_MAJOR, machine.minor < 0 ? "*" : text("%d", machine.minor));
		advise("lxc.mount.entry = /dev/ashmem dev/ashmem none bind,optional,create=file");
	} else {
		/* The container has another boot ID than the host, so its node has another name. */
		advise("LXC gives it a new boot ID at each start; then run in it: ");
		advise("touch %s && mount --bind /dev/ashmem %s", path, path);
	}
}

/* Says how to get a good node. @remove is a command that removes the old one first, or NULL. */
static void advise_to_make(const struct node *node, const char *remove)
{
	const char *path = root_path(node->path);

	if (machine.container) {
		advise_to_pass(node);
		return;
	}
	if (remove)
		advise("sudo %s %s%s", remove, path, machine.minor < 0 ? ", then " : " && ");
	else if (node->may_be_link)
		advise("devtmpfs makes it when the driver is loaded; to make it now, ");
	else
		advise("%s makes it beside the first; to make it now, ", node_maker());
	if (machine.minor < 0) {
		advise("reload the driver");
		return;
	}
	advise("sudo mknod -m 0666 %s c %d %d", path, MISC_MAJOR, machine.minor);
	mend("make_node %s", quoted(path));
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:	return "a plain file";
	case S_IFDIR:	return "a directory";
	case S_IFBLK:	return "a block device";
	default:	return "a FIFO or socket";
	}
}

static void report_missing(const struct node *node)
{
	const char *path = root_path(node->path);

	if (machine.minor == NO_DRIVER) {
		note(node->id, "there is no %s, as there is no driver", path);
		return;
	}
	broken(node->id, "there is no %s, which %s", path, node->needed);
	advise_to_make(node, NULL);
}

/* Reports a link. Returns true if what it leads to is to be checked, too. */
static bool check_link(const struct node *node, struct stat *info)
{
	const char *path = root_path(node->path);
	char to[256] = "";

	if (readlinkat(root_fd(), node->path, to, sizeof(to) - 1) < 0)
		to[0] = '?';
	if (!node->may_be_link)
		broken(node->id, "%s is a link to %s; containers need device nodes", path, to);
	else if (fstatat(root_fd(), node->path, info, 0))
		broken(node->id, "%s is a link to %s, which does not exist", path, to);
	else {
		note(text("%s-link", node->id),
		     "%s is a link to %s; containers need device nodes", path, to);
		return true;
	}
	advise_to_make(node, "rm");
	return false;
}

/* Whether the node has the driver's number. Opening another device may have side effects. */
static bool check_number(const struct node *node, const struct stat *info)
{
	const char *path = root_path(node->path);
	unsigned int high = major(info->st_rdev), low = minor(info->st_rdev);

	if (machine.minor == NO_DRIVER) {
		note(node->id, "%s is the device %u:%u, left by a driver that was unloaded", path,
		     high, low);
		advise("sudo rm %s before you load a driver: its number may be another", path);
		return false;
	}
	if (machine.minor == NOT_KNOWN || info->st_rdev == makedev(MISC_MAJOR, machine.minor))
		return true;
	broken(text("%s-number", node->id),
	       "%s is stale: it is the device %u:%u, and ashmem is %d:%d", path, high, low,
	       MISC_MAJOR, machine.minor);
	advise_to_make(node, "rm");
	return false;
}

/* Android's programs run as other users, so the mode must grant access to others. */
static bool check_mode(const struct node *node, const struct stat *info)
{
	bool usable = !faccessat(root_fd(), node->path, R_OK | W_OK, AT_EACCESS);
	const char *path = root_path(node->path), *id = text("%s-mode", node->id);
	const char *is = text("%s has mode %04o, owner %u:%u", path, info->st_mode & 07777,
			      info->st_uid, info->st_gid);

	if ((info->st_mode & 0666) == 0666)
		return true;
	/* Root can open it in any case, which proves nothing. */
	if (geteuid() && usable)
		note(id, "%s, which is enough for this user but not for Android's programs", is);
	else
		broken(id, "%s, so %s cannot open it", is, geteuid() ? "this user" : "other users");
	advise("sudo chmod 0666 %s; %s keeps that mode", path, node_maker());
	mend("chmod 0666 %s", quoted(path));
	return false;
}

static void report_no_device(const struct node *node, mode_t mode)
{
	broken(node->id, "%s is %s instead of a character device", root_path(node->path),
	       kind_of(mode));
	advise_to_make(node, S_ISDIR(mode) ? "rmdir" : "rm");
}

/* Whether the node is the driver's. Its mode may still be wrong. */
static bool check_node(const struct node *node)
{
	const char *path = root_path(node->path);
	struct stat info;

	if (fstatat(root_fd(), node->path, &info, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT) {
			report_missing(node);
			return false;
		}
		broken(node->id, "cannot check %s: %s", path, strerror(errno));
		advise("check the permissions of /dev");
		return false;
	}
	if (S_ISLNK(info.st_mode) && !check_link(node, &info))
		return false;
	if (!S_ISCHR(info.st_mode)) {
		report_no_device(node, info.st_mode);
		return false;
	}
	if (!check_number(node, &info))
		return false;
	if (check_mode(node, &info))
		ok(node->id, "%s is the device %u:%u, mode %04o", path, major(info.st_rdev),
		   minor(info.st_rdev), info.st_mode & 07777);
	return true;
}

static bool is_mounted_nodev(void)
{
	int fd = openat(root_fd(), MAIN_NODE, O_PATH | O_CLOEXEC);
	struct statvfs mount;
	bool nodev = fd >= 0 && !fstatvfs(fd, &mount) && (mount.f_flag & ST_NODEV);

	if (fd >= 0)
		close(fd);
	return nodev;
}

/* Reports EACCES. The mode has been checked before. */
static void report_no_access(const struct node *node, const char *what)
{
	if (is_mounted_nodev()) {
		broken("open", "%s, as its file system is mounted nodev", what);
		if (machine.container) {
			advise_to_pass(node);
		} else {
			advise("sudo mount -o remount,dev %s", root_path("dev"));
			mend("mount -o remount,dev %s", quoted(root_path("dev")));
		}
	} else if (faccessat(root_fd(), MAIN_NODE, R_OK | W_OK, AT_EACCESS)) {
		note("open", "%s, because of its mode", what);
	} else {
		broken("open", "%s, and its mode is not the reason", what);
		advise("in a user namespace, bind-mount the host's nodes; elsewhere, ausearch -m ");
		advise("avc or dmesg on the host names the security module that refuses it");
	}
}

/* Says why the driver's node does not open. */
static void report_open(const struct node *node, int error)
{
	const char *what = text("%s cannot be opened: %s", root_path(MAIN_NODE), strerror(error));

	switch (error) {
	case EACCES:
		report_no_access(node, what);
		break;
	case EPERM:
		broken("open", "%s, probably by the device rules of the control group", what);
		if (machine.container)
			advise_to_pass(node);
		else
			advise("run this outside the service that has such rules (DeviceAllow=)");
		break;
	case ENODEV:
	case ENXIO:
		broken("open", "%s, so no driver has its number any more", what);
		advise("reload the driver (sudo modprobe rust_ashmem), and see dmesg");
		mend("modprobe rust_ashmem");
		break;
	default:
		broken("open", "%s", what);
		advise("see dmesg; check whether memory or file descriptors are exhausted");
	}
}

int open_region(void)
{
	int fd = openat(root_fd(), MAIN_NODE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void check_boot_id_node(void)
{
	struct node node = {
		.id = "boot-id-node",
		.needed = "Android 16 opens",
	};

	if (!machine.boot_id) {
		note(node.id, "the node that Android 16 opens is not known: there is no %s",
		     root_path("proc/sys/kernel/random/boot_id"));
		return;
	}
	node.path = text("%s%s", MAIN_NODE, machine.boot_id);
	check_node(&node);
}

int check_nodes(void)
{
	static const struct node node = {
		.path = MAIN_NODE,
		.id = "node",
		.needed = "programs open",
		.may_be_link = true,
	};
	bool good = check_node(&node);
	int fd;

	check_boot_id_node();
	if (!good)
		return -1;
	fd = open_region();
	if (fd < 0)
		report_open(&node, -fd);
	return fd;
}
