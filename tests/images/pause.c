// The first process of every pod: holds the pod's namespaces until the kubelet ends it, and collects orphans.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
	(void)signal;
	_exit(0);
}

static void collect(int signal) {
	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
}

int main(void) {
	// The first process of a process namespace gets only the signals that it handles.
	signal(SIGINT, end);
	signal(SIGTERM, end);
	signal(SIGCHLD, collect);
	for (;;) {
		pause();
	}
}
