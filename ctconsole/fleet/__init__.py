"""Many nodes at once, as a Prometheus that scrapes their exporters knows them."""
