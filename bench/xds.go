package main

import "context"

func runXDS(context.Context, *bench) error    { return nil }
func runXDSServer([]string) error             { return nil }
func runXDSFleet([]string) error              { return nil }
func runAccess(context.Context, *bench) error { return nil }
