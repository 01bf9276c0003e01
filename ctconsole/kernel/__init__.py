"""The only rooms with system calls: bpf(2), bpffs, iterators, tc, namespaces, processes."""
