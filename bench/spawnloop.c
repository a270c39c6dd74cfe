/*
 * spawnloop DIR COMMAND [ARG...]: the least that resolving an environment can
 * cost, to measure the harness against. For each file of DIR in the order of
 * names: run it, set the variable of its name to what it printed; then become
 * COMMAND. It checks nothing that the harness checks.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LARGEST_VALUE = 131071 };

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* output runs path and puts what it prints into value, without the last newlines. */
static void output(char *path, char *value)
{
	int ends[2], status;
	if (pipe2(ends, O_CLOEXEC) != 0)
		err(125, "pipe2");

	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);

	pid_t pid;
	char *argv[] = { path, NULL };
	int failure = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	if (failure != 0)
		errx(125, "cannot run %s: %s", path, strerror(failure));
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);

	size_t length = 0;
	ssize_t got;
	while ((got = read(ends[0], value + length, LARGEST_VALUE - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	while (length > 0 && value[length - 1] == '\n')
		length--;
	value[length] = '\0';

	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(125, "%s failed", path);
}

int main(int argc, char **argv)
{
	static char value[LARGEST_VALUE + 1];
	char path[PATH_MAX];
	struct dirent **entries;

	if (argc < 3)
		errx(125, "usage: spawnloop DIR COMMAND [ARG...]");
	int count = scandir(argv[1], &entries, visible, alphasort);
	if (count < 0)
		err(125, "cannot read %s", argv[1]);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
		output(path, value);
		setenv(entries[i]->d_name, value, 1);
	}
	execvp(argv[2], argv + 2);
	err(127, "cannot run %s", argv[2]);
}
