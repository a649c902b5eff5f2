/* What the tests do inside a container that a shell can't: plain system calls, and attacks.
 * Static, so that it runs in any image it is bound into. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Prints the outcome of one call made in a process of its own: "NAME errno" or "NAME signal". */
static void outcome(const char *what, long number, long call, long first, long rest) {
    int ends[2];
    if (pipe(ends)) exit(2);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(5);
        errno = 0;
        long result = syscall(call, first, rest, rest, rest, rest, rest);
        int error = result == -1 ? errno : 0;
        if (write(ends[1], &error, sizeof error) != sizeof error) _exit(3);
        _exit(0);
    }
    close(ends[1]);
    int error = -1, status = 0;
    ssize_t got = read(ends[0], &error, sizeof error);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (got == sizeof error)
        printf("%s %ld errno %d\n", what, number, error);
    else
        printf("%s %ld signal %d\n", what, number, WTERMSIG(status));
}

static int system_calls(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    for (long n = 0; n <= 462; n++) {
        /* They return to nowhere, wait for ever, fork, or end the process. */
        if (n == SYS_rt_sigreturn || n == SYS_pause || n == SYS_fork || n == SYS_vfork ||
            n == SYS_exit || n == SYS_exit_group)
            continue;
        /* -1 is no descriptor, no address and no flag: what isn't refused fails harmlessly. */
        outcome("call", n, n, -1, -1);
    }
    for (long family = 0; family < 64; family++) outcome("socket", family, SYS_socket, family, 3);
    for (int bit = 0; bit < 32; bit++)
        outcome("clone", bit, SYS_unshare, 1L << bit, 0);
    for (int bit = 0; bit < 32; bit++) outcome("personality", bit, SYS_personality, 1L << bit, 0);
    return 0;
}

/* Opens everybody's program for writing, directly and by way of a descriptor. */
static int overwrite(int seconds) {
    printf("up\n");
    fflush(stdout);
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        DIR *processes = opendir("/proc");
        struct dirent *entry;
        while (processes && (entry = readdir(processes))) {
            char path[300], name[512];
            if (atoi(entry->d_name) <= 0 || atoi(entry->d_name) == getpid()) continue;
            snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
            int fd = open(path, O_RDONLY);
            if (fd < 0) continue;
            /* The name of what is open: the process may have another program by now. */
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(path, name, sizeof name - 1);
            name[length < 0 ? 0 : length] = 0;
            for (int attempt = 0; attempt < 50; attempt++) {
                int writable = open(path, O_WRONLY);
                if (writable >= 0) {
                    /* The container's own files are its to write. */
                    if (!strstr(name, "busybox")) printf("OPENED %s\n", name);
                    close(writable);
                } else if (!strstr(name, "busybox")) {
                    printf("refused %s: %s\n", name, strerror(errno));
                }
            }
            close(fd);
        }
        if (processes) closedir(processes);
        fflush(stdout);
    }
    return 0;
}

/* Lists what a process has open, and where it stands. */
static int descriptors(const char *pid) {
    char path[64], name[512];
    snprintf(path, sizeof path, "/proc/%s/cwd", pid);
    ssize_t length = readlink(path, name, sizeof name - 1);
    printf("cwd %.*s\n", (int)(length < 0 ? 0 : length), name);
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, fd);
        length = readlink(path, name, sizeof name - 1);
        if (length >= 0) printf("%d\n", fd);
    }
    return 0;
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "";
    if (!strcmp(mode, "calls")) return system_calls();
    if (!strcmp(mode, "overwrite")) return overwrite(atoi(words[2]));
    if (!strcmp(mode, "descriptors")) return descriptors(words[2]);
    if (!strcmp(mode, "traced")) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) return 1;
        printf("up\n");
        fflush(stdout);
        raise(SIGSTOP);
        for (;;) pause();
    }
    if (!strcmp(mode, "swap")) {
        printf("up\n");
        fflush(stdout);
        for (;;)
            if (syscall(SYS_renameat2, AT_FDCWD, words[2], AT_FDCWD, words[3], 2 /* EXCHANGE */))
                return 1;
    }
    if (!strcmp(mode, "burst")) {
        int many = atoi(words[2]);
        for (int i = 0; i < many; i++) {
            pid_t child = fork();
            if (child == 0) _exit(0);
            if (child < 0) return 1;
        }
        /* Left to whoever reaps for this one. */
        printf("forked %d\n", many);
        return 7;
    }
    return 2;
}
