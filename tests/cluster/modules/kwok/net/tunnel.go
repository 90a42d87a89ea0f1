// Package net is compiled into kwok's package of the same name: `cluster build` puts this file in the
// place of its `tunnel.go`.
//
// As it is, kwok keeps a forwarded connection open until both sides have closed it, so that a client
// waits for ever for the end of an answer that the server ended by closing.
package net

import (
	"context"
	"io"
)

// Tunnel copies both ways until c2, the server, has said all. That c1, the client, has said all is passed on.
// The first buffer is left alone: the caller gives it away again while that direction may still be open.
func Tunnel(ctx context.Context, c1, c2 io.ReadWriter, _, buf2 []byte) error {
	go func() {
		_, _ = io.Copy(c2, c1)
		if half, ok := c2.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	answered := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(c1, c2, buf2)
		answered <- err
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-answered:
		return err
	}
}
