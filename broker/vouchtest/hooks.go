package vouchtest

import "time"

// now is the server's clock, skewed if a test asked for that.
func (v *Vouch) now() time.Time {
	return v.options.Now().Add(time.Duration(v.skew.Load()))
}

// SkewClock sets the server's clock by to fast, or slow when by is negative,
// until the next call. An STS that trusts this server keeps the right time.
func (v *Vouch) SkewClock(by time.Duration) { v.skew.Store(int64(by)) }

// RefuseHardware, while refuse is true, makes sign-ins end without the FIDO2
// ceremony and the credential API treat tokens from before like theirs, with 403
// hardware_required.
func (v *Vouch) RefuseHardware(refuse bool) { v.softwareOnly.Store(refuse) }

// hardware reports whether a sign-in now includes the ceremony.
func (v *Vouch) hardware() bool {
	return v.person().HardwareVerified && !v.softwareOnly.Load()
}

// PassSilently, while pass is true, lets a browser with a session go on without the
// key, whatever prompt and max_age ask for. The time of the ceremony that is told
// is the session's.
func (v *Vouch) PassSilently(pass bool) { v.passesSilently.Store(pass) }

// IgnorePrompt, while ignore is true, makes the server heed max_age alone.
func (v *Vouch) IgnorePrompt(ignore bool) { v.ignoresPrompt.Store(ignore) }

// OmitAuthTime, while omit is true, makes tokens say nothing of the ceremony's time.
func (v *Vouch) OmitAuthTime(omit bool) { v.omitsAuthTime.Store(omit) }

// ActAs makes another person the one who touches the key, and whose tokens are
// good, until the next call.
func (v *Vouch) ActAs(p Person) { v.actor.Store(&p) }

func (v *Vouch) person() Person {
	if p := v.actor.Load(); p != nil {
		return *p
	}
	return v.options.Person
}
