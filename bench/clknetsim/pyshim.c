/* Lets CPython run below clknetsim.so, which knows only what NTP daemons of C use.
 *
 * Preloaded in front of clknetsim.so, so that "the next" function of a name is clknetsim's.
 * Descriptors that clknetsim has invented begin at FIRST_INVENTED; the kernel has never heard
 * of them, and knows all others. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { FIRST_INVENTED = 100 };

/* A function as clknetsim has it. */
static void *simulated(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	return found ? found : (abort(), NULL);
}

/* The same as the C library has it. */
static void *real(const char *name)
{
	static void *libc;
	if (!libc && !(libc = dlopen("libc.so.6", RTLD_NOW)))
		abort();
	return dlsym(libc, name);
}

/* Python marks every descriptor as close-on-exec, and every socket as non-blocking.  Nothing is
 * executed in a simulation and nothing blocks, so an invented one needs neither. */
int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...);
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
	case FIONBIO:
		if (fd >= FIRST_INVENTED)
			return 0;
		next = real("ioctl");
		break;
	default:
		next = simulated("ioctl");
	}
	return next(fd, request, argument);
}

/* The same two wishes, at birth. */
int socket(int domain, int type, int protocol)
{
	int (*next)(int, int, int) = simulated("socket");
	return next(domain, type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), protocol);
}

/* Two calls have to do with time and chance, which are clknetsim's.  All others, at which it would
 * end the program, are the machine's. */
long syscall(long number, ...)
{
	long (*next)(long, ...);
	va_list arguments;
	long word[6];

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		word[i] = va_arg(arguments, long);
	va_end(arguments);
	next = number == SYS_clock_adjtime || number == SYS_getrandom ? simulated("syscall")
								      : real("syscall");
	return next(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}
