/*
 * orphans COUNT: makes COUNT orphans for PID 1 to reap, one after the other,
 * waits until all are gone, and prints the CPU time that PID 1 has used in all,
 * in seconds. Run it as the command of the init to measure, in a PID namespace
 * with a /proc of its own.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 60 };

/* fork_patiently waits for PID 1 to reap when all process ids are taken. */
static pid_t fork_patiently(void)
{
	for (;;) {
		pid_t pid = fork();
		if (pid >= 0 || errno != EAGAIN)
			return pid;
		usleep(1000);
	}
}

static void make_orphan(void)
{
	pid_t parent = fork_patiently();
	if (parent < 0)
		err(1, "fork");
	if (parent == 0) {
		fork_patiently();
		_exit(0);
	}
	if (waitpid(parent, NULL, 0) != parent)
		err(1, "waitpid");
}

/* others counts the processes besides PID 1 and this one, zombies too. */
static int others(void)
{
	int count = 0;
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	if (proc == NULL)
		err(1, "/proc");
	while ((entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			count++;
	closedir(proc);
	return count - 2;
}

/* cpu_of_init is utime and stime, the 14th and 15th field of its stat. */
static double cpu_of_init(void)
{
	char stat[4096];
	unsigned long user, system;
	FILE *file = fopen("/proc/1/stat", "r");
	if (file == NULL || fgets(stat, sizeof stat, file) == NULL)
		err(1, "/proc/1/stat");
	fclose(file);
	const char *fields = strrchr(stat, ')'); /* the name may hold blanks */
	if (fields == NULL ||
	    sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		errx(1, "cannot read /proc/1/stat");
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? atol(argv[1]) : 0;
	if (count <= 0)
		errx(125, "usage: orphans COUNT");
	for (long i = 0; i < count; i++)
		make_orphan();

	int left = others();
	for (int tries = 0; left > 0 && tries < PATIENCE_SECONDS * 100; tries++) {
		usleep(10000);
		left = others();
	}
	if (left > 0)
		errx(1, "%d of %ld orphans were not reaped in %d s", left, count, PATIENCE_SECONDS);
	printf("%.2f\n", cpu_of_init());
	return 0;
}
