#include "harness.h"

const struct workload workloads[] = {
    {"alloc", "objects of one size, the last 1024 kept", run_alloc},
    {"tree", "binary trees, one long-lived, many short-lived", run_tree},
    {"mark", "full collections of a tree or a random graph", run_mark},
    {"latency", "a window of live messages, every replacement timed", run_latency},
    {"growth", "marking and allocation beside a given live size", run_growth},
    {"tiny", "a full collection of a heap of 4 MiB", run_tiny},
    {"micro", "a store, a store while marking, a safepoint", run_micro},
    {"attach", "a thread that attaches and detaches per task", run_attach},
    {"intern", "strings by content: found, and made and dropped", run_intern},
    {"metadata", "the heap's tables against what it holds", run_metadata},
    {"giveback", "memory back to the system after a peak", run_giveback},
    {"gcbench", "GCBench: trees top down and bottom up", run_gcbench},
    {"hashmap", "a concurrent hash map with churn", run_hashmap},
    {"editor", "a document tree, long-lived and slowly changing", run_editor},
    {"broker", "a message broker: producers, topics, consumers", run_broker},
    {"fragment", "object sizes drift while the live size stays", run_fragment},
    {NULL, NULL, NULL},
};
