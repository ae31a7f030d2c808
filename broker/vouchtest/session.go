package vouchtest

import "time"

// session is what the server remembers of an access token. It knows the token
// by its digest only.
type session struct {
	clientID string
	codeID   string // the authorization code behind it, empty for none
	expires  time.Time
}

func (v *Vouch) remember(token string, s *session) {
	now := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.sessions) >= maxSessions {
		for id, old := range v.sessions {
			if old.expires.Before(now) {
				delete(v.sessions, id)
			}
		}
	}
	v.sessions[digestOf(token)] = s
}

func (v *Vouch) known(token string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sessions[digestOf(token)] != nil
}

// Revoke ends the session of an access token, as a logout does.
func (v *Vouch) Revoke(token string) { v.endSession(token, "") }

// endSession ends a session if it belongs to the client; an empty client id
// stands for anybody.
func (v *Vouch) endSession(token, clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := digestOf(token)
	s := v.sessions[id]
	if s != nil && (clientID == "" || s.clientID == clientID) {
		delete(v.sessions, id)
	}
}

// endSessionsOf ends the sessions that came from an authorization code.
func (v *Vouch) endSessionsOf(codeID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, s := range v.sessions {
		if s.codeID == codeID {
			delete(v.sessions, id)
		}
	}
}
