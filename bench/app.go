package main

import (
	"net"
	"net/http"
)

// appQuestion tells the application where to listen.
type appQuestion struct{ Addresses []string }

// runApp is a small HTTP server: a few bytes to whoever asks.
func runApp([]string) error {
	body := []byte("a few bytes\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	return serve(func(q appQuestion) (any, error) {
		for _, address := range q.Addresses {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return nil, err
			}
			server := &http.Server{Handler: handler, ReadHeaderTimeout: 0}
			go func() { _ = server.Serve(listener) }()
		}
		return struct{}{}, nil
	})
}

// startApp starts the application at the addresses.
func startApp(addresses ...string) (*child, error) {
	app, err := startRole("role-app")
	if err != nil {
		return nil, err
	}
	if err := app.ask(appQuestion{addresses}, &struct{}{}); err != nil {
		app.stop()
		return nil, err
	}
	return app, nil
}
