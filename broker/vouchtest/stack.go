package vouchtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const readHeaderTimeout = 10 * time.Second

// StackOptions describe a Vouch and an STS on loopback.
type StackOptions struct {
	// VouchAddress and STSAddress are where to listen, such as
	// "127.0.0.1:4000". Empty means any free port of 127.0.0.1.
	VouchAddress, STSAddress string
	// Vouch is the server's options. An empty Issuer becomes its URL.
	Vouch Options
	// STS is the service's options. Its Vouch is always the stack's.
	STS STSOptions
}

// A Stack is a Vouch and an STS that listen on loopback.
type Stack struct {
	Vouch *Vouch
	STS   *STS
	// VouchURL and STSURL have no trailing slash.
	VouchURL, STSURL string

	servers []*http.Server
}

var errNotLoopback = errors.New("the address is not on loopback")

// Start listens and serves until Close. It fails on an address that others
// could reach: a Vouch that approves everybody is for this machine only.
func Start(o StackOptions) (*Stack, error) {
	forVouch, err := listen(o.VouchAddress)
	if err != nil {
		return nil, fmt.Errorf("Vouch: %w", err)
	}
	forSTS, err := listen(o.STSAddress)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("STS: %w", err), forVouch.Close())
	}
	s := &Stack{VouchURL: "http://" + forVouch.Addr().String(), STSURL: "http://" + forSTS.Addr().String()}
	if o.Vouch.Issuer == "" {
		o.Vouch.Issuer = s.VouchURL
	}
	if s.Vouch, err = New(o.Vouch); err == nil {
		o.STS.Vouch = s.Vouch
		s.STS, err = NewSTS(o.STS)
	}
	if err != nil {
		return nil, errors.Join(err, forVouch.Close(), forSTS.Close())
	}
	s.serve(forVouch, s.Vouch)
	s.serve(forSTS, s.STS)
	return s, nil
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errNotLoopback
	}
	return net.Listen("tcp", address)
}

func (s *Stack) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // ends with http.ErrServerClosed
}

// Close stops listening and drops every connection.
func (s *Stack) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
