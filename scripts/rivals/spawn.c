/* The least that a wrapper can do: start a program and wait for its end. */
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(int count, char **words) {
    pid_t child;
    int status;
    if (count < 2 || posix_spawn(&child, words[1], 0, 0, words + 1, environ) != 0)
        return 127;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
