// SPDX-License-Identifier: GPL-2.0
/*
 * Checks the calls of 32-bit programs: nearly every Android image has some. On x86-64 a
 * 64-bit process can make 32-bit calls. Elsewhere this program must be built for 32 bits.
 */
#include <signal.h>
#include <sys/utsname.h>

#include "../../selftests/ashmem.h"
#include "check.h"

#ifdef __x86_64__

#define NR32_GETPID	20
#define NR32_IOCTL	54

/* How the child ends. */
#define FINE		0
#define REFUSED		1
#define NO_FILE_ID	2
#define NO_CALLS	3

/*
 * A system call as 32-bit programs make it, with three arguments below 4 GiB. A handler
 * that takes the number for a 64-bit one finds -1 in the first argument, and fails.
 */
static long call32(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	int ret;

	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(nr), "b"(a), "c"(b), "d"(c), "D"(-1L)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return ret;
}

static long ioctl32(int fd, unsigned long cmd, unsigned long arg)
{
	return call32(NR32_IOCTL, fd, cmd, arg);
}

/* A 32-bit call faults if the kernel lacks them. A signal that is caught is not logged. */
static void no_calls(int signal)
{
	(void)signal;
	_exit(NO_CALLS);
}

static int try_calls(int fd)
{
	struct {
		char name[16];
		struct ashmem_pin all;
		__u32 id, after;
	} *low = mmap(NULL, page_size(), PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long got;

	signal(SIGSEGV, no_calls);
	signal(SIGSYS, no_calls);
	if (low == MAP_FAILED || call32(NR32_GETPID, 0, 0, 0) != getpid())
		return NO_CALLS;
	memcpy(low->name, "ashmem-check32", sizeof("ashmem-check32"));
	low->after = 1;
	if (ioctl32(fd, ASHMEM_SET_NAME, (unsigned long)low->name) ||
	    ioctl32(fd, COMPAT_ASHMEM_SET_SIZE, page_size()) ||
	    ioctl32(fd, ASHMEM_GET_SIZE, 0) != (long)page_size() ||
	    try_map(fd, page_size(), PROT_RW, MAP_SHARED) ||
	    ioctl32(fd, COMPAT_ASHMEM_SET_PROT_MASK, PROT_READ) ||
	    get_mask(fd) != PROT_READ ||
	    ioctl32(fd, ASHMEM_UNPIN, (unsigned long)&low->all) ||
	    ioctl32(fd, ASHMEM_GET_PIN_STATUS, (unsigned long)&low->all) != ASHMEM_IS_UNPINNED ||
	    ioctl32(fd, ASHMEM_PIN, (unsigned long)&low->all) < 0)
		return REFUSED;
	got = ioctl32(fd, COMPAT_ASHMEM_GET_FILE_ID, (unsigned long)&low->id);
	if (got == -ENOTTY)
		return NO_FILE_ID;
	return got || !low->id || low->after != 1 ? REFUSED : FINE;
}

void check_compat(void)
{
	int fd = open_region();
	pid_t child = fork();

	if (!child)
		_exit(try_calls(fd));
	switch (exit_status_of(child)) {
	case FINE:
		ok("compat", "32-bit programs can make each call, too");
		break;
	case NO_FILE_ID:
		note("compat", "32-bit programs can make each call except GET_FILE_ID");
		break;
	case NO_CALLS:
	/* Or the child was killed, for instance by the system call filter of a service. */
	case -1:
		note("compat", "no 32-bit program can run here: the kernel or a filter refuses it");
		advise("Android's 32-bit programs need CONFIG_IA32_EMULATION with any driver");
		break;
	default:
		broken("compat", "32-bit programs are refused calls that 64-bit ones can make");
		advise("load the newest rust_ashmem, on a kernel with CONFIG_COMPAT");
	}
	if (fd >= 0)
		close(fd);
}

#else

void check_compat(void)
{
	struct utsname uts;

	if (sizeof(long) == 8) {
		note("compat", "32-bit calls were not tried, as this is a 64-bit program");
		advise("build this program for 32 bits, too (make tools CC=...), and run that");
	} else if (!uname(&uts) && strstr(uts.machine, "64")) {
		ok("compat", "this is a 32-bit program, so all findings hold for such programs");
	}
}

#endif
