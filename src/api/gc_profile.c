/* The profile of allocations. */
#include "api/entry.h"
#include "introspect/profile.h"

int gc_profile_record(const struct gc_profile_options *options)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (options)
        return profile_record(t->heap, options);
    profile_end(t->heap);
    return 0;
}

struct profile_text {
    const struct profile *profile;
    struct output output;
};

static int write_profile(void *text)
{
    struct profile_text *x = text;
    profile_print(x->profile, &x->output);
    return output_end(&x->output);
}

int gc_profile_write(gc_write_fn write, void *arg)
{
    gc_thread *t = ENTER();
    struct profile_text x;
    if (!t)
        return -EPERM;
    if (!write)
        return -EINVAL;
    x.profile = ptr_load_acquire(&t->heap->profile);
    if (!x.profile)
        return -ENOENT;
    output_begin(&x.output, write, arg);
    return entry_unheld(write_profile, &x);
}
