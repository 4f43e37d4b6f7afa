// SPDX-License-Identifier: GPL-2.0
/*
 * Two processes share a region of /dev/ashmem, and print what they see.
 *
 * The first one makes the region and sends its descriptor to the second over a UNIX
 * socket. They also take turns by sending bytes on that socket.
 */
#include "demo.h"

#define REGION		"demo clipboard"
#define FIRST_WORDS	"written before you had the region"
#define LATER_WORDS	"written while you were looking"

static int make_region(size_t size)
{
	int fd = area_open(O_RDWR);

	if (fd < 0)
		fail(area_device(), fd);
	say("opened %s: a new region, still empty and nameless", area_device());
	check("ASHMEM_SET_NAME", set_name(fd, REGION));
	check("ASHMEM_SET_SIZE", set_size(fd, size));
	if (get_size(fd) != (long)size)
		fail("ASHMEM_GET_SIZE", 1);
	say("named it \"%s\" and made it %zu bytes long", REGION, size);
	return fd;
}

static void show_fdinfo(int fd)
{
	char path[64], line[512];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	if (!info)
		fail(path, -errno);
	say("%s:", path);
	while (fgets(line, sizeof(line), info))
		printf("        %s", line);
	fclose(info);
}

static void show_region(int fd, const char *map)
{
	char line[1024];

	if (!maps_line(map, line, sizeof(line)))
		fail("/proc/self/maps has no line for the region", 1);
	say("its line in /proc/%d/maps:", (int)getpid());
	printf("        %s\n", line);
	if (!strstr(line, "/dev/ashmem/" REGION))
		fail("the line does not name the region", 1);
	show_fdinfo(fd);
}

static void expect_refusal(const char *what, long expected, long seen)
{
	if (expected != seen)
		fail(what, seen);
	say("%s: refused, %s - as it should be", what, strerror(-seen));
}

static void protect_region(int fd, size_t size)
{
	char *map;

	check("ASHMEM_SET_PROT_MASK", set_mask(fd, PROT_READ));
	say("reduced the protection mask to PROT_READ, for good");
	expect_refusal("a new writable mapping", -EPERM,
		       try_map(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED));
	map = map_shared(fd, size, PROT_READ);
	say("a new read-only mapping works, and reads \"%s\"", map);
	expect_refusal("mprotect() of that mapping to PROT_WRITE", -EACCES,
		       try_mprotect(map, size, PROT_READ | PROT_WRITE));
	expect_refusal("giving PROT_WRITE back to the mask", -EINVAL,
		       set_mask(fd, PROT_READ | PROT_WRITE));
}

static int reader(int socket)
{
	int fd = recv_fd(socket);
	char *map, name[ASHMEM_NAME_LEN];
	size_t size;

	who = "reader";
	if (fd < 0)
		fail("receiving the descriptor", fd);
	check("ASHMEM_GET_NAME", get_name(fd, name));
	size = get_size(fd);
	say("process %d received a descriptor: \"%s\", %zu bytes", (int)getpid(), name, size);
	map = map_shared(fd, size, PROT_READ);
	say("it reads: \"%s\"", map);
	if (strcmp(map, FIRST_WORDS))
		fail("that is not what was written", 1);
	give_turn(socket);
	take_turn(socket);
	say("the same memory now reads: \"%s\"", map);
	if (strcmp(map, LATER_WORDS))
		fail("that is not what was written", 1);
	give_turn(socket);
	return 0;
}

static void writer(int socket)
{
	size_t size = 4 * page_size();
	int fd = make_region(size);
	char *map = map_shared(fd, size, PROT_READ | PROT_WRITE);

	memcpy(map, FIRST_WORDS, sizeof(FIRST_WORDS));
	say("mapped it and wrote \"%s\"", map);
	show_region(fd, map);
	say("sending the descriptor over a UNIX socket");
	check("sending the descriptor", send_fd(socket, fd));
	take_turn(socket);
	memcpy(map, LATER_WORDS, sizeof(LATER_WORDS));
	say("wrote \"%s\"", map);
	give_turn(socket);
	take_turn(socket);
	protect_region(fd, size);
}

int main(void)
{
	pid_t child;
	int socket;

	who = "writer";
	if (access(area_device(), F_OK))
		fail(area_device(), -errno);
	child = fork_partner(&socket);
	if (child == 0)
		return reader(socket);
	writer(socket);
	if (exit_status_of(child))
		fail("the reader failed", 1);
	puts("demo: all steps worked");
	return 0;
}
