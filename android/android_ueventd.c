// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the nodes of existing devices, as Android's ueventd does when it starts: it
 * walks through sysfs, makes the kernel send the uevent of each device again, and
 * handles these as for new devices.
 *
 *   ueventd [RULES]    by default /system/etc/ueventd.rc
 *
 * A rule is a line 'PATTERN MODE USER GROUP'. Later rules override earlier ones.
 * Without a rule, only root can access a node.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "android.h"

#define MAX_RULES	64

struct rule {
	char pattern[128];
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* A uevent of a device. */
struct uevent {
	const char *action, *path, *subsystem, *name;
	int major, minor;
	/* The complete text, for the log. */
	char text[900];
};

static struct rule rules[MAX_RULES];
static size_t nr_rules;
static int events, made, kernel = -1;

static void __attribute__((noreturn)) fail(const char *what)
{
	tell(TELL_ERROR, "%s: %s", what, errno ? strerror(errno) : "not understood");
	exit(1);
}

/* The only known user name is root. */
static bool parse_owner(const char *text, unsigned int *id)
{
	char *end;

	*id = strcmp(text, "root") ? strtoul(text, &end, 10) : 0;
	return !strcmp(text, "root") || (*text && !*end);
}

static bool parse_rule(const char *line, struct rule *rule)
{
	char user[32], group[32], rest;

	return sscanf(line, "%127s %o %31s %31s %c", rule->pattern, &rule->mode, user, group,
		      &rest) == 4 &&
		!strncmp(rule->pattern, "/dev/", 5) &&
		parse_owner(user, &rule->uid) && parse_owner(group, &rule->gid);
}

static void read_rules(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		fail(path);
	errno = 0;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line == '#' || !line[strspn(line, " \t")])
			continue;
		if (nr_rules == MAX_RULES || !parse_rule(line, &rules[nr_rules]))
			fail(line);
		nr_rules++;
	}
	fclose(file);
}

static const struct rule *find_rule(const char *path)
{
	static const struct rule none = { .mode = 0600 };
	size_t i = nr_rules;

	while (i--)
		if (!fnmatch(rules[i].pattern, path, FNM_PATHNAME))
			return &rules[i];
	return &none;
}

static void make_node(const char *path, mode_t type, dev_t number)
{
	const struct rule *rule = find_rule(path);

	if (mknod(path, type | rule->mode, number)) {
		/* A node that init made gets the mode of the rules. */
		if (errno != EEXIST || chmod(path, rule->mode))
			fail(path);
	}
	if (chown(path, rule->uid, rule->gid))
		fail(path);
	made++;
}

static const char *base_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static void handle(const struct uevent *event)
{
	bool is_block = !strcmp(event->subsystem, "block");
	dev_t number = makedev(event->major, event->minor);
	char path[PATH_MAX], id[64];

	events++;
	if (event->major < 0 || event->minor < 0 || strcmp(event->action, "add"))
		return;
	if (is_block && mkdir("/dev/block", 0755) && errno != EEXIST)
		fail("/dev/block");
	snprintf(path, sizeof(path), "/dev/%s%s", is_block ? "block/" : "", base_of(event->path));
	make_node(path, is_block ? S_IFBLK : S_IFCHR, number);
	if (strcmp(event->name, "ashmem"))
		return;
	/* The node that libcutils opens. */
	tell(TELL_INFO, "%s", event->text);
	if (!read_boot_id(id, sizeof(id)))
		fail("boot_id");
	snprintf(path, sizeof(path), "/dev/%s%s", base_of(event->path), id);
	make_node(path, S_IFCHR, number);
	tell(TELL_INFO, "made /dev/ashmem and %s", path);
}

static const char *value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) || line[len] != '=' ? NULL : line + len + 1;
}

/* Parses lines that end with NUL; the first one is a summary. */
static void parse(const char *message, size_t len, struct uevent *event)
{
	const char *line = message, *value;
	size_t used = 0;

	*event = (struct uevent){
		.action = "", .path = "/", .subsystem = "", .name = "", .major = -1, .minor = -1,
	};
	for (; line < message + len; line += strlen(line) + 1) {
		if (used < sizeof(event->text))
			used += snprintf(event->text + used, sizeof(event->text) - used, "%s%s",
					 used ? " " : "", line);
		value = value_of(line, "ACTION");
		if (value)
			event->action = value;
		value = value_of(line, "DEVPATH");
		if (value)
			event->path = value;
		value = value_of(line, "SUBSYSTEM");
		if (value)
			event->subsystem = value;
		value = value_of(line, "DEVNAME");
		if (value)
			event->name = value;
		value = value_of(line, "MAJOR");
		if (value)
			event->major = atoi(value);
		value = value_of(line, "MINOR");
		if (value)
			event->minor = atoi(value);
	}
}

static void open_kernel(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = -1 };

	kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	if (kernel < 0 || bind(kernel, (struct sockaddr *)&address, sizeof(address)))
		fail("the kernel's socket of uevents");
}

/* Handles all uevents that the kernel has sent so far. */
static void listen_to_kernel(void)
{
	struct sockaddr_nl sender;
	socklen_t size = sizeof(sender);
	struct uevent event;
	char message[8192];
	ssize_t len;

	while ((len = recvfrom(kernel, message, sizeof(message) - 1, MSG_TRUNC,
			       (struct sockaddr *)&sender, &size)) >= 0) {
		if (len >= (ssize_t)sizeof(message))
			fail("a uevent is too long");
		/* Ignores messages from programs. */
		if (sender.nl_pid)
			continue;
		message[len] = '\0';
		parse(message, len, &event);
		handle(&event);
		size = sizeof(sender);
	}
	if (errno != EAGAIN)
		fail("the kernel's socket of uevents");
}

/* Makes the kernel send the uevents of all devices below a directory. Closes the descriptor. */
static void walk(int dir_fd)
{
	int fd = openat(dir_fd, "uevent", O_WRONLY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	if (fd >= 0) {
		if (write(fd, "add\n", 4) != 4)
			fail("uevent");
		close(fd);
		listen_to_kernel();
	}
	dir = fdopendir(dir_fd);
	if (!dir)
		fail("a directory of sysfs");
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			walk(fd);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	static const char * const roots[] = { "/sys/class", "/sys/block", "/sys/devices" };
	size_t i;
	int fd;

	teller = "ueventd";
	umask(0);
	read_rules(argc > 1 ? argv[1] : "/system/etc/ueventd.rc");
	open_kernel();
	if (access("/dev/ashmem", F_OK))
		tell(TELL_INFO, "coldboot begins, there is no /dev/ashmem yet");
	for (i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
		fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			walk(fd);
	}
	tell(TELL_INFO, "coldboot done: %d uevents, %d nodes", events, made);
	return 0;
}
