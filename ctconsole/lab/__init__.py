"""The embedded node: namespaces, pods, servers, traffic and the article's test cases."""
