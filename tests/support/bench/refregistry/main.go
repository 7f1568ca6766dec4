// Refregistry serves go-containerregistry's registry with the referrers API
// switched on: a registry like those of today for the tests, and only for them.
//
// Usage: refregistry ADDRESS FOLDER
//
// Its first line on standard output is the address it listens on, written once
// it does; with port 0 the kernel has chosen the port. Requests are logged on
// standard error. Blobs lie in FOLDER, but manifests and tags live in memory:
// a restarted registry is empty.
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("refregistry: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: refregistry ADDRESS FOLDER")
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func serve(address, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of the blobs: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	fmt.Println(listener.Addr())

	server := &http.Server{
		Handler: registry.New(
			registry.WithReferrersSupport(true),
			registry.WithBlobHandler(registry.NewDiskBlobHandler(folder)),
		),
		ReadHeaderTimeout: 10 * time.Second,
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}
