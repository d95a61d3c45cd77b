package main

import (
	"net/url"
	"testing"
)

func TestUpstreamVariable(t *testing.T) {
	d := &dialer{namespace: "shop"}
	for host, want := range map[string]string{
		"book-warehouse.bookstore":                    "SMI_UPSTREAM_BOOK_WAREHOUSE_BOOKSTORE_9090",
		"book-warehouse.bookstore.svc":                "SMI_UPSTREAM_BOOK_WAREHOUSE_BOOKSTORE_9090",
		"book-warehouse.bookstore.svc.cluster.local.": "SMI_UPSTREAM_BOOK_WAREHOUSE_BOOKSTORE_9090",
		"bookwarehouse":                               "SMI_UPSTREAM_BOOKWAREHOUSE_SHOP_9090",
	} {
		if got := d.variable(host, "9090"); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestCallTakesTheUpstreamListener(t *testing.T) {
	other := start(t, nil, func(c *config) { c.who.Pod = "bookwarehouse-0" })
	r := start(t, map[string]string{
		"POD_NAMESPACE": "bookstore",
		"SMI_UPSTREAM_BOOKWAREHOUSE_BOOKSTORE_9090": other.address[kindTCP],
		"SMI_UPSTREAM_BOOKWAREHOUSE_BOOKSTORE_9080": other.address[kindGRPC],
	}, nil)
	for address, status := range map[string]string{
		"tcp://bookwarehouse.bookstore:9090":  "ok",
		"tcp://bookwarehouse:9090":            "ok",
		"grpc://bookwarehouse.bookstore:9080": "OK",
	} {
		got := r.callOver(t, url.Values{"url": {address}})
		if got.Statuses[status] != 1 || got.Pods["bookwarehouse-0"] != 1 {
			t.Errorf("%s: %+v", address, got)
		}
	}
}
