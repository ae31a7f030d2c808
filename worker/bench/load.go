//go:build !js

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// answerTime bounds the wait for one answer.
const answerTime = 30 * time.Second

// A line is a connection that is kept, over which the same request goes again and
// again. It takes as little of the machine as it can, for else that would be what is
// measured: no http.Client, and the same bytes each time.
type line struct {
	conn    net.Conn
	reader  *bufio.Reader
	message []byte       // the request
	body    bytes.Buffer // of the last answer
}

// dial connects to the side's Worker, for request r.
func (s *side) dial(ctx context.Context, r request) (*line, error) {
	req, err := newRequest(ctx, s.stack.MCP, s.token, r)
	if err != nil {
		return nil, err
	}
	var message bytes.Buffer
	if err := req.Write(&message); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", req.URL.Host)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, reader: bufio.NewReaderSize(conn, 32<<10), message: message.Bytes()}, nil
}

// call sends the request and wants a result.
func (l *line) call() error {
	if err := l.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := l.conn.Write(l.message); err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return err
	}
	l.body.Reset()
	if _, err := io.Copy(&l.body, resp.Body); err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, l.body.Bytes())
}
