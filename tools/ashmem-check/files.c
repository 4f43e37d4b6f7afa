// SPDX-License-Identifier: GPL-2.0
/* Reads files below the root. In tests, ASHMEM_CHECK_ROOT sets the root. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* Size limits of all files and of configurations. */
#define MOST		(64 * MOST_CONFIG)
#define MOST_CONFIG	(1024 * 1024)
#define MOST_LINKS	40

static const char *root(void)
{
	const char *name = getenv("ASHMEM_CHECK_ROOT");

	return name ? name : "";
}

int root_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(*root() ? root() : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(2, "Set ASHMEM_CHECK_ROOT to a directory. Cannot open '%s'", root());
	return fd;
}

const char *root_path(const char *path)
{
	return text("%s/%s", root(), path);
}

int root_open(const char *path)
{
	int fd = openat(root_fd(), path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

/* Whether a path has "..", so that it may leave the directory that it begins with. */
static bool goes_up(const char *path)
{
	const char *up = strstr(path, "/..");

	return up && (!up[3] || up[3] == '/' || goes_up(up + 3));
}

bool is_roots(const char *path)
{
	static const char * const places[] = {
		"etc/", "usr/", "lib/", "proc/", "sys/", "run/modprobe.d/",
		"run/booted-system/", "run/current-system/", "var/lib/lxc/",
		"var/lib/waydroid/", "var/lib/andromeda/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!strncmp(path, places[i], strlen(places[i])))
			return !goes_up(path);
	return false;
}

/* Whether a link may be followed. Another user's link could lead root anywhere. */
static bool is_trusted(const char *link)
{
	struct stat info;

	return !fstatat(root_fd(), link, &info, AT_SYMLINK_NOFOLLOW) &&
		(!info.st_uid || info.st_uid == geteuid());
}

const char *without_links(const char *path)
{
	const char *done = "", *rest = path;
	int links = 0;

	while (*(rest += strspn(rest, "/"))) {
		int len = strcspn(rest, "/");
		const char *part = text("%s%s%.*s", done, *done ? "/" : "", len, rest);
		char to[PATH_MAX];
		ssize_t got = readlinkat(root_fd(), part, to, sizeof(to) - 1);

		rest += len;
		if (got < 0) {
			done = part;
			continue;
		}
		if (++links > MOST_LINKS || !is_trusted(part))
			return NULL;
		to[got] = '\0';
		rest = text("%s%s", to, rest);
		done = *to == '/' ? "" : text("%.*s", (int)(strrchr(part, '/') ?
						strrchr(part, '/') - part : 0), part);
	}
	return *done ? done : ".";
}

/* Opens a path component by component, to fail if somebody replaces one by a link meanwhile. */
static int open_parts(const char *path, int flags)
{
	char *rest = strdup(path), *part;
	int dir = root_fd(), fd = -1, safe = O_NOFOLLOW | O_CLOEXEC;

	while ((part = strsep(&rest, "/"))) {
		fd = openat(dir, part, safe | (rest ? O_PATH | O_DIRECTORY : flags));
		if (dir != root_fd())
			close(dir);
		if (fd < 0)
			break;
		dir = fd;
	}
	return fd < 0 ? -errno : fd;
}

int safe_open(const char *path, int flags)
{
	int fd;

	if (*path != '/' && !is_roots(path)) {
		path = without_links(path);
		return path ? open_parts(path, flags) : -ELOOP;
	}
	fd = openat(root_fd(), path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Opens a regular file; fails with a negative errno. */
static int open_plain(const char *path)
{
	struct stat info;
	int fd = safe_open(path, O_PATH);

	if (fd < 0)
		return fd;
	/* Opening a device may have side effects. */
	if (!fstat(fd, &info) && !S_ISREG(info.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	close(fd);
	fd = safe_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	if (!fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_size <= MOST)
		return fd;
	close(fd);
	return -EINVAL;
}

char *read_bytes(const char *path, size_t *size)
{
	size_t room = 4096, len = 0;
	char *buf = NULL;
	ssize_t got = 1;
	int fd = open_plain(path);

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	while (got > 0 && len <= MOST) {
		if (!buf || len + 1 == room)
			buf = realloc(buf, room *= 2);
		if (!buf)
			errx(2, "Out of memory. Free some and run it again.");
		got = read(fd, buf + len, room - 1 - len);
		len += got > 0 ? got : 0;
	}
	close(fd);
	buf[len] = '\0';
	*size = len;
	return buf;
}

char *read_file(const char *path)
{
	size_t len = 0;
	char *buf = read_bytes(path, &len);

	for (size_t i = 0; i < len; i++)
		if (!buf[i])
			buf[i] = '\n';
	return buf;
}

char *read_config(const char *path)
{
	char *buf = read_file(path);

	if (buf && strlen(buf) > MOST_CONFIG) {
		free(buf);
		errno = EFBIG;
		return NULL;
	}
	return buf;
}

char *read_line(const char *path)
{
	char *buf = read_file(path);

	if (buf)
		buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

bool exists(const char *path)
{
	struct stat info;

	if (!is_roots(path))
		path = without_links(path);
	return path && !fstatat(root_fd(), path, &info, 0);
}

char *next_line(char **rest)
{
	char *line = *rest, *end;

	if (!line || !*line)
		return NULL;
	end = strchrnul(line, '\n');
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

/* Cuts blanks off both ends. */
static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

char *setting(const char *file_text, const char *key)
{
	char *copy = strdup(file_text), *rest = copy, *line, *value, *found = NULL;

	while ((line = next_line(&rest))) {
		value = line + strcspn(line, "=:");
		if (!*value)
			continue;
		*value++ = '\0';
		if (!strcmp(trim(line), key))
			found = trim(value);
	}
	return found;
}
