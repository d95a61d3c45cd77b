package main

import (
	"errors"
	"net"
)

// servePackets answers each datagram with who answers, until its port is closed.
// What came is not sent back, so that an answer is short whatever was asked.
func (s *server) servePackets(conn net.PacketConn) error {
	// The content does not matter, and what does not fit is cut off.
	buffer := make([]byte, 1)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) && s.stopping.Load() {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(s.introduction(), from); err != nil {
			s.log.Debug("no answer to a datagram", "reason", err)
		}
	}
}
