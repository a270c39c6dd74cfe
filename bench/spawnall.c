/*
 * spawnall DIR COMMAND [ARG...]: spawnloop with all at once. It starts every file
 * of DIR, polls for what they print, sets the variables and becomes COMMAND.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LARGEST_VALUE = 131071 };

struct child {
	pid_t pid;
	size_t length;
	char *value;
};

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* start runs path and gives the end of the pipe that it prints into. */
static int start(char *path, pid_t *pid)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		err(125, "pipe2");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	char *argv[] = { path, NULL };
	int failure = posix_spawn(pid, path, &actions, NULL, argv, environ);
	if (failure != 0)
		errx(125, "cannot run %s: %s", path, strerror(failure));
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	return ends[0];
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	struct dirent **entries;

	if (argc < 3)
		errx(125, "usage: spawnall DIR COMMAND [ARG...]");
	int count = scandir(argv[1], &entries, visible, alphasort);
	if (count < 0)
		err(125, "cannot read %s", argv[1]);
	struct child *children = calloc((size_t)count, sizeof *children);
	struct pollfd *fds = calloc((size_t)count, sizeof *fds);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
		children[i].value = malloc(LARGEST_VALUE + 1);
		fds[i] = (struct pollfd){ start(path, &children[i].pid), POLLIN, 0 };
	}
	for (int open = count; open > 0;) {
		if (poll(fds, (nfds_t)count, -1) < 0)
			err(125, "poll");
		for (int i = 0; i < count; i++) {
			struct child *c = &children[i];
			if (fds[i].revents == 0)
				continue;
			ssize_t got = read(fds[i].fd, c->value + c->length, LARGEST_VALUE - c->length);
			if (got > 0) {
				c->length += (size_t)got;
				continue;
			}
			close(fds[i].fd);
			fds[i].fd = -1;
			open--;
		}
	}
	for (int i = 0; i < count; i++) {
		struct child *c = &children[i];
		int status;
		if (waitpid(c->pid, &status, 0) != c->pid || status != 0)
			errx(125, "%s failed", entries[i]->d_name);
		while (c->length > 0 && c->value[c->length - 1] == '\n')
			c->length--;
		c->value[c->length] = '\0';
		setenv(entries[i]->d_name, c->value, 1);
	}
	execvp(argv[2], argv + 2);
	err(127, "cannot run %s", argv[2]);
}
