// SPDX-License-Identifier: GPL-2.0
/*
 * Tests what Android's apps do with the device, through libcutils and without
 * privileges, and which nodes they must refuse.
 *
 *   android_client              the tests; start them as root, as they become an app
 *   android_client peer SOCKET  another app, which the tests start
 *
 * ANDROID_PEER is the path of this program, built for the other width, for a peer.
 */
#include <linux/capability.h>

#include "kselftest_harness.h"
#include "android_peer.h"

#define SIZE	(64 * 1024)

#define enter_app() __enter_app(_metadata)

static inline void __enter_app(struct __test_metadata *_metadata)
{
	ASSERT_TRUE(become_app(APP));
}

/* Whether this is a node, not a link, that everybody may open. */
static bool is_node(const char *path, dev_t number)
{
	struct stat node;

	return !lstat(path, &node) && S_ISCHR(node.st_mode) && node.st_rdev == number &&
		(node.st_mode & 0777) == 0666;
}

static char *map_region(int fd, int prot)
{
	return area_map(fd, SIZE, prot, MAP_SHARED);
}

FIXTURE(app)
{
	int fd;
};

FIXTURE_SETUP(app)
{
	self->fd = -EBADF;
	if (geteuid())
		SKIP(return, "only root can become an app");
	enter_app();
	self->fd = cutils_create("app", SIZE);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(app)
{
	close(self->fd);
}

TEST_F(app, has_no_privilege)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	ASSERT_EQ(0, syscall(SYS_capget, &header, caps));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, caps[i].permitted);
		EXPECT_EQ(0, caps[i].effective);
	}
	EXPECT_EQ(APP, getuid());
	EXPECT_EQ(-EPERM, purge_all(self->fd));
}

TEST_F(app, finds_both_nodes)
{
	char path[PATH_MAX];

	ASSERT_TRUE(cutils_path(path, sizeof(path)));
	EXPECT_TRUE(is_node(path, cutils_rdev));
	EXPECT_TRUE(is_node("/dev/ashmem", cutils_rdev));
}

/* Programs that do not use libcutils. */
TEST_F(app, opens_plain_node)
{
	int fd = answer(open("/dev/ashmem", O_RDWR | O_CLOEXEC));

	ASSERT_LE(0, fd);
	EXPECT_TRUE(cutils_valid(fd));
	EXPECT_EQ(0, set_size(fd, SIZE));
	EXPECT_EQ(0, try_map(fd, SIZE, PROT_RW, MAP_SHARED));
	close(fd);
}

TEST_F(app, creates_region)
{
	char name[ASHMEM_NAME_LEN], line[512];
	char *map = map_region(self->fd, PROT_RW);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(cutils_valid(self->fd));
	EXPECT_EQ(SIZE, get_size(self->fd));
	EXPECT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ("app", name);
	EXPECT_TRUE(is_filled(map, SIZE, 0));
	ASSERT_TRUE(maps_line(map, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, " /dev/ashmem/app"));
}

/* ART gives names to heaps in this way. */
TEST_F(app, maps_private_heap)
{
	char line[512], *map = area_map(self->fd, SIZE, PROT_RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'x', SIZE);
	ASSERT_TRUE(maps_line(map, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, " /dev/ashmem/app"));
}

TEST_F(app, takes_nothing_else_for_region)
{
	static const char * const files[] = { "/dev/null", "/dev/zero", "/proc/self/maps", "/" };
	int fds[2], fd;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		fd = open(files[i], O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd) {
			TH_LOG("%s", files[i]);
		}
		EXPECT_FALSE(cutils_valid(fd));
		close(fd);
	}
	fd = memfd_create("memfd", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_FALSE(cutils_valid(fd));
	ASSERT_EQ(0, pipe(fds));
	EXPECT_FALSE(cutils_valid(fds[0]));
	EXPECT_FALSE(cutils_valid(-1));
}

/* android.os.MemoryFile with allowPurging(): it is pinned only for reads. */
TEST_F(app, memory_file_may_be_purged)
{
	char *map = map_region(self->fd, PROT_RW);

	ASSERT_NE(MAP_FAILED, map);
	put_words(map, "a file in memory");
	ASSERT_EQ(0, unpin_bytes(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status_bytes(self->fd, 0, 0));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin_bytes(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status_bytes(self->fd, 0, 0));
	EXPECT_STREQ("a file in memory", map);
	EXPECT_EQ(0, unpin_bytes(self->fd, 0, 0));
}

/* MemoryFile.deactivate(): the descriptor remains without the mapping. */
TEST_F(app, memory_file_is_mapped_again)
{
	char *map = map_region(self->fd, PROT_RW);

	ASSERT_NE(MAP_FAILED, map);
	put_words(map, "still here");
	ASSERT_EQ(0, munmap(map, SIZE));
	EXPECT_EQ(SIZE, get_size(self->fd));
	map = map_region(self->fd, PROT_READ);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_STREQ("still here", map);
}

FIXTURE(apps)
{
	int peer, fd;
	char *map;
	struct findings found;
};

FIXTURE_VARIANT(apps)
{
	const char *program;
};

FIXTURE_VARIANT_ADD(apps, same_width)
{
	.program = "/proc/self/exe",
};

FIXTURE_VARIANT_ADD(apps, other_width)
{
	.program = NULL,
};

FIXTURE_SETUP(apps)
{
	const char *program = variant->program ? variant->program : getenv("ANDROID_PEER");

	self->peer = -EBADF;
	self->fd = -EBADF;
	if (geteuid())
		SKIP(return, "only root can become an app");
	if (!program)
		SKIP(return, "ANDROID_PEER is not set to this program of the other width");
	self->peer = start_peer(program);
	ASSERT_LE(0, self->peer);
	enter_app();
	self->fd = cutils_create("shared", SIZE);
	ASSERT_LE(0, self->fd);
	self->map = map_region(self->fd, PROT_RW);
	ASSERT_NE(MAP_FAILED, self->map);
	put_words(self->map, "written by the app");
}

FIXTURE_TEARDOWN(apps)
{
	close(self->fd);
	close(self->peer);
}

TEST_F(apps, share_region)
{
	ASSERT_TRUE(ask_peer(self->peer, self->fd, &self->found));
	EXPECT_EQ(OTHER_APP, self->found.uid);
	EXPECT_TRUE(self->found.is_valid);
	EXPECT_EQ(SIZE, self->found.size);
	EXPECT_EQ(0, self->found.map);
	EXPECT_STREQ("written by the app", self->found.words);
	EXPECT_EQ(0, self->found.map_writable);
	EXPECT_STREQ(PEER_WORDS, self->map + WORDS);
}

TEST_F(apps, refuse_what_is_no_region)
{
	int fd = memfd_create("memfd", MFD_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	ASSERT_TRUE(ask_peer(self->peer, fd, &self->found));
	EXPECT_FALSE(self->found.is_valid);
}

/* android.database.CursorWindow: filled by one app, read-only in the other. */
TEST_F(apps, cursor_window_is_read_only_there)
{
	char name[ASHMEM_NAME_LEN];
	int copy;

	close(self->fd);
	self->fd = cutils_create("CursorWindow: /data/user/0/org.example/databases/x.db", SIZE);
	ASSERT_LE(0, self->fd);
	self->map = map_region(self->fd, PROT_RW);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	put_words(self->map, "row 1");
	copy = fcntl(self->fd, F_DUPFD_CLOEXEC, 0);
	ASSERT_LE(0, copy);
	ASSERT_TRUE(ask_peer(self->peer, copy, &self->found));
	EXPECT_EQ(SIZE, self->found.size);
	EXPECT_STREQ("row 1", self->found.words);
	EXPECT_EQ(-EPERM, self->found.map_writable);
	EXPECT_EQ(0, get_name(copy, name));
	EXPECT_STREQ("CursorWindow: /data/user/0/org.example/databases/x.db", name);
}

/* ApplicationSharedMemory: only its creator can write, through an older mapping. */
TEST_F(apps, application_shared_memory_has_one_writer)
{
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(PROT_READ, get_mask(self->fd));
	for (int round = 1; round <= 2; round++) {
		sprintf(self->map, "round %d", round);
		ASSERT_TRUE(ask_peer(self->peer, self->fd, &self->found));
		EXPECT_STREQ(self->map, self->found.words);
		EXPECT_EQ(0, self->found.map);
		EXPECT_EQ(-EPERM, self->found.map_writable);
		EXPECT_EQ(-EACCES, self->found.mprotect);
		EXPECT_EQ(-EINVAL, self->found.widen);
	}
	/* The creator cannot map it writable again. */
	EXPECT_EQ(MAP_FAILED, map_region(self->fd, PROT_RW));
	EXPECT_TRUE(is_filled(self->map + WORDS, SIZE - WORDS, 0));
}

TEST_F(apps, agree_on_file_id)
{
	unsigned long id = 0, other_id = 0;
	long ret = get_file_id(self->fd, &id);
	int other;

	if (ret == -ENOTTY)
		SKIP(return, "this driver has no ASHMEM_GET_FILE_ID");
	ASSERT_EQ(0, ret);
	ASSERT_TRUE(ask_peer(self->peer, self->fd, &self->found));
	EXPECT_EQ(id, self->found.file_id);
	other = cutils_create("other", SIZE);
	ASSERT_LE(0, other);
	EXPECT_EQ(-EINVAL, get_file_id(other, &other_id));
	ASSERT_EQ(0, try_map(other, SIZE, PROT_RW, MAP_SHARED));
	ASSERT_EQ(0, get_file_id(other, &other_id));
	EXPECT_NE(id, other_id);
}

/* Wrong nodes, in a separate directory. */
FIXTURE(wrong)
{
	char dir[32], path[PATH_MAX];
	dev_t number;
};

FIXTURE_SETUP(wrong)
{
	int fd;

	if (geteuid())
		SKIP(return, "only root can become an app");
	fd = cutils_open();
	ASSERT_LE(0, fd);
	close(fd);
	self->number = cutils_rdev;
	cutils_rdev = 0;
	snprintf(self->dir, sizeof(self->dir), "/dev/wrong-XXXXXX");
	/* On a file system that is not mounted nodev. */
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	cutils_dev = self->dir;
	ASSERT_TRUE(cutils_path(self->path, sizeof(self->path)));
}

FIXTURE_TEARDOWN_PARENT(wrong)
{
	unlink(self->path);
	rmdir(self->dir);
}

/* A node with the number of /dev/null. */
TEST_F(wrong, number_is_refused)
{
	int fd;

	umask(0);
	ASSERT_EQ(0, mknod(self->path, S_IFCHR | 0666, makedev(1, 3)));
	EXPECT_FALSE(is_node(self->path, self->number));
	enter_app();
	EXPECT_EQ(-ENOTTY, cutils_create("app", SIZE));
	fd = open("/dev/ashmem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_FALSE(cutils_valid(fd));
}

TEST_F(wrong, regular_file_is_refused)
{
	umask(0);
	ASSERT_EQ(0, mknod(self->path, S_IFREG | 0666, 0));
	EXPECT_FALSE(is_node(self->path, self->number));
	enter_app();
	EXPECT_EQ(-ENOTTY, cutils_open());
}

TEST_F(wrong, absence_is_refused)
{
	int fd;

	enter_app();
	EXPECT_EQ(-ENOENT, cutils_open());
	/* The node without the boot ID exists all the time. */
	fd = open("/dev/ashmem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_FALSE(cutils_valid(fd));
}

TEST_F(wrong, mode_is_refused)
{
	umask(0);
	ASSERT_EQ(0, mknod(self->path, S_IFCHR | 0600, self->number));
	EXPECT_FALSE(is_node(self->path, self->number));
	enter_app();
	EXPECT_EQ(-EACCES, cutils_open());
}

/* libcutils would follow a link, but programs that copy nodes into a container would not. */
TEST_F(wrong, link_is_no_node)
{
	ASSERT_EQ(0, symlink("/dev/ashmem", self->path));
	EXPECT_FALSE(is_node(self->path, self->number));
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "peer"))
		return peer_main(atoi(argv[2]));
	return test_harness_run(argc, argv);
}
