/* Gives a load generator (wrk) a client certificate: it has no option for one.
 *
 * cc -shared -fPIC -o clientcert.so clientcert.c -ldl
 * LD_PRELOAD=./clientcert.so CLIENT_CERT=a.crt CLIENT_KEY=a.key wrk ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define PEM 1

typedef void *(*make_t)(const void *);
typedef int (*use_t)(void *, const char *, int);

static void use(void *context, const char *function, const char *variable)
{
    const char *file = getenv(variable);
    use_t set = (use_t)dlsym(RTLD_NEXT, function);
    if (file != NULL && (set == NULL || set(context, file, PEM) != 1)) {
        fprintf(stderr, "clientcert: %s refused %s\n", function, file);
        exit(1);
    }
}

void *SSL_CTX_new(const void *method)
{
    make_t make = (make_t)dlsym(RTLD_NEXT, "SSL_CTX_new");
    void *context = make(method);
    if (context != NULL) {
        use(context, "SSL_CTX_use_certificate_file", "CLIENT_CERT");
        use(context, "SSL_CTX_use_PrivateKey_file", "CLIENT_KEY");
    }
    return context;
}
