// SPDX-License-Identifier: GPL-2.0
/* Reads files below the root, which ASHMEM_CHECK_ROOT names in tests. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* Nothing that is looked at has more bytes than this. */
#define MOST	(64 << 20)

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
		err(2, "ASHMEM_CHECK_ROOT is '%s', which is not a directory", root());
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

bool is_roots(const char *path)
{
	static const char * const places[] = {
		"etc/", "usr/", "lib/", "proc/", "sys/", "run/modprobe.d/",
		"run/booted-system/", "run/current-system/", "var/lib/lxc/",
		"var/lib/waydroid/", "var/lib/andromeda/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!strncmp(path, places[i], strlen(places[i])))
			return true;
	return false;
}

/* Opens a plain file; fails with a negative errno. */
static int open_plain(const char *path)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = openat(root_fd(), path, is_roots(path) ? flags : flags | O_NOFOLLOW);
	struct stat info;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_size <= MOST)
		return fd;
	close(fd);
	return -EINVAL;
}

char *read_file(const char *path)
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
	for (size_t i = 0; i < len; i++)
		if (!buf[i])
			buf[i] = '\n';
	buf[len] = '\0';
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
	return !faccessat(root_fd(), path, F_OK, 0);
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
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(trim(line), key))
			found = trim(value);
	}
	return found;
}
