/* A program that has nothing in it but the static library: what it calls, the library calls. The
 * scenario is a shared library. */
int run_scenario(int argc, char **argv);

int main(int argc, char **argv)
{
    return run_scenario(argc, argv);
}
