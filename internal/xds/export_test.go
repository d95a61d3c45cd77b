package xds

import "time"

// SetPatience changes how long phases wait for what a proxy should do by itself.
// It must be called before the server serves.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }
