/* SPDX-License-Identifier: MIT */
#include "io/confine.h"

#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Who may not: a bit for each row of `roles`, and for every other role. */
enum denied { READER = 1, WORKER = 2, KEEPER = 4, MONITOR = 8, OTHER = 16, RESOLVER = 32, ALL = 63 };

static const struct {
	const char *name;
	enum denied bit;
} roles[] = {
	{ "reader", READER },
	{ "worker", WORKER },
	{ "keeper", KEEPER },
	{ "monitor", MONITOR },
	{ "resolver", RESOLVER },
};

#define CALL(name, who) { SCMP_SYS(name), who }

static const struct {
	int call;
	unsigned who;
} calls[] = {
	/* another program */
	CALL(execve, ALL), CALL(execveat, ALL), CALL(uselib, ALL),
	/* another process's memory or descriptors */
	CALL(ptrace, ALL), CALL(process_vm_readv, ALL), CALL(process_vm_writev, ALL), CALL(process_madvise, ALL),
	CALL(pidfd_getfd, ALL), CALL(kcmp, ALL), CALL(userfaultfd, ALL),
	/* files: what is needed of them is opened for reading */
	CALL(creat, ALL), CALL(rename, ALL), CALL(renameat, ALL), CALL(renameat2, ALL), CALL(link, ALL), CALL(linkat, ALL),
	CALL(symlink, ALL), CALL(symlinkat, ALL), CALL(unlink, ALL), CALL(unlinkat, ALL), CALL(rmdir, ALL),
	CALL(mkdir, ALL), CALL(mkdirat, ALL), CALL(truncate, ALL), CALL(chmod, ALL), CALL(fchmodat, ALL), CALL(chown, ALL),
	CALL(lchown, ALL), CALL(fchown, ALL), CALL(fchownat, ALL), CALL(mknod, ALL), CALL(mknodat, ALL),
	CALL(setxattr, ALL), CALL(lsetxattr, ALL), CALL(removexattr, ALL),
	/* another view of the system */
	CALL(mount, ALL), CALL(umount2, ALL), CALL(pivot_root, ALL), CALL(chroot, ALL), CALL(setns, ALL),
	CALL(unshare, ALL), CALL(fsopen, ALL), CALL(fsmount, ALL), CALL(move_mount, ALL), CALL(open_tree, ALL),
	CALL(open_by_handle_at, ALL), CALL(name_to_handle_at, ALL), CALL(fanotify_init, ALL),
	/* another user */
	CALL(setuid, ALL), CALL(setgid, ALL), CALL(setreuid, ALL), CALL(setregid, ALL), CALL(setresuid, ALL),
	CALL(setresgid, ALL), CALL(setfsuid, ALL), CALL(setfsgid, ALL), CALL(setgroups, ALL), CALL(capset, ALL),
	/* the kernel, and its least proven parts */
	CALL(init_module, ALL), CALL(finit_module, ALL), CALL(delete_module, ALL), CALL(kexec_load, ALL),
	CALL(kexec_file_load, ALL), CALL(bpf, ALL), CALL(perf_event_open, ALL), CALL(io_uring_setup, ALL),
	CALL(io_uring_enter, ALL), CALL(io_uring_register, ALL), CALL(keyctl, ALL), CALL(add_key, ALL),
	CALL(request_key, ALL), CALL(personality, ALL), CALL(modify_ldt, ALL), CALL(iopl, ALL), CALL(ioperm, ALL),
	/* the machine */
	CALL(reboot, ALL), CALL(swapon, ALL), CALL(swapoff, ALL), CALL(settimeofday, ALL), CALL(clock_settime, ALL),
	CALL(adjtimex, ALL), CALL(clock_adjtime, ALL), CALL(sethostname, ALL), CALL(setdomainname, ALL),
	CALL(acct, ALL), CALL(quotactl, ALL), CALL(syslog, ALL), CALL(vhangup, ALL),
	/* who serves nobody listens to nobody; who asks nobody connects to nobody */
	CALL(listen, READER | WORKER | KEEPER | RESOLVER), CALL(accept, READER | WORKER | KEEPER | RESOLVER),
	CALL(accept4, READER | WORKER | KEEPER | RESOLVER), CALL(connect, MONITOR),
	/* a worker decodes suspects in a process of their own; threads are made below by `clone` */
	CALL(fork, READER | KEEPER | MONITOR | RESOLVER), CALL(vfork, READER | KEEPER | MONITOR | RESOLVER),
};

/* Kinds of sockets with a kernel of their own behind them. */
static const int families[] = { AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_CAN, AF_TIPC, AF_RDS, AF_KEY, AF_XDP };

void confine_memory(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
#ifndef FAILPOINTS /* the tests of those count descriptors */
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

static unsigned bit_of(const char *role)
{
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (strcmp(roles[i].name, role) == 0)
			return roles[i].bit;
	return OTHER;
}

/* What depends on an argument. */
static int add_by_argument(scmp_filter_ctx filter, unsigned who)
{
	const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
	int r = 0;

	for (size_t i = 0; i < sizeof families / sizeof families[0] && r == 0; i++)
		r = seccomp_rule_add(filter, deny, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	/* no new file; O_TMPFILE is another bit */
	if (r == 0)
		r = seccomp_rule_add(filter, deny, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
	if (r == 0)
		r = seccomp_rule_add(filter, deny, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
	if (r == 0 && !(who & (WORKER | OTHER)))
		r = seccomp_rule_add(filter, deny, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	/* their arguments lie in memory, where no filter sees them: libc then takes the calls above */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
	return r;
}

static int add_all(scmp_filter_ctx filter, unsigned who)
{
	int r = 0;

	for (size_t i = 0; i < sizeof calls / sizeof calls[0] && r == 0; i++)
		if (calls[i].who & who)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i].call, 0);
	return r == 0 ? add_by_argument(filter, who) : r;
}

int confine_calls(const char *role, struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? add_all(filter, bit_of(role)) : -ENOMEM;

	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r == 0 ? 0 : err_set(err, "no filter of system calls: %s", strerror(-r));
}
