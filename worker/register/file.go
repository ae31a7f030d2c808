package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
)

const maxFileBytes = 64 << 10

// ErrNoFile is what Load returns when there is no such file.
var ErrNoFile = errors.New("file does not exist")

// A Registration is what the operator keeps of the broker's registration at one
// Vouch. Nobody else has these keys, nor the token.
type Registration struct {
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// ClientID is empty until Vouch has answered.
	ClientID string `json:"client_id,omitempty"`
	// Token is the registration access token (RFC 7592 section 3). Vouch issues
	// another one with each change.
	Token kept `json:"registration_token,omitzero"`
	// Key is the private JWK of BROKER_KEY.
	Key kept `json:"key"`
	// NextKey takes the place of Key once Vouch knows it.
	NextKey kept `json:"next_key,omitzero"`
	// PreviousKey is that of BROKER_KEY_PREVIOUS while a rotation is under way.
	PreviousKey kept `json:"previous_key,omitzero"`
	// RotatedAt is when the Worker got both keys; zero means not yet.
	RotatedAt time.Time `json:"rotated_at,omitzero"`
}

// kept is a secret that is written to the file. fmt still does not print it.
type kept struct{ secret.String }

// MarshalText implements encoding.TextMarshaler.
func (k kept) MarshalText() ([]byte, error) { return []byte(k.Reveal()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *kept) UnmarshalText(text []byte) error {
	k.String = secret.New(string(text))
	return nil
}

// Keys returns the private keys that Vouch shall know, the current one first.
func (r Registration) Keys() ([]*p256.Key, error) {
	var keys []*p256.Key
	for _, text := range []kept{r.Key, r.PreviousKey} {
		if text.IsEmpty() && len(keys) > 0 {
			continue
		}
		key, err := p256.Parse(text.String)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// check finds what a file cannot have when it was written here and not touched.
func (r Registration) check() error {
	if !r.NextKey.IsEmpty() {
		if _, err := p256.Parse(r.NextKey.String); err != nil {
			return err
		}
	}
	if _, err := r.Keys(); err != nil {
		return err
	}
	if r.Issuer == "" || r.Audience == "" || (r.ClientID == "") != r.Token.IsEmpty() ||
		r.ClientID != "" && !validClientID(r.ClientID) ||
		r.PreviousKey.IsEmpty() && !r.RotatedAt.IsZero() {
		return errors.New("a member is missing or wrong")
	}
	return nil
}

// A File is where one registration is kept, for this user alone.
type File struct{ dir, name string }

// FileFor returns the file for a broker at a Vouch, .vouch/VOUCH--BROKER.json in the
// project's root, by the hosts of the two.
func FileFor(root, issuer, audience string) File { return fileFor(folder(root), issuer, audience) }

// folder is where the files are.
func folder(root string) string { return filepath.Join(root, ".vouch") }

func fileFor(dir, issuer, audience string) File {
	return File{dir, fileName(hostOf(issuer)) + "--" + fileName(hostOf(audience)) + ".json"}
}

// olderFile is where a registration was kept when there was one for each Vouch only.
func olderFile(dir, issuer string) File { return File{dir, fileName(hostOf(issuer)) + ".json"} }

// hostOf returns the host of a URL that was checked before, with its port.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// fileName makes a file's name of a host. Some systems allow no colon in one.
func fileName(host string) string { return strings.ReplaceAll(host, ":", "_") }

// adopt gives an older file, made for the same two, this name. Anything else about
// the older file is for Load to find.
func (f File) adopt(older File, issuer, audience string) error {
	if _, err := os.Lstat(f.path()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r, err := older.Load()
	if errors.Is(err, ErrNoFile) || err == nil && (r.Issuer != issuer || r.Audience != audience) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Rename(older.path(), f.path())
}

// String returns the path as people see it, relative to the project.
func (f File) String() string { return filepath.Join(filepath.Base(f.dir), f.name) }

func (f File) path() string { return filepath.Join(f.dir, f.name) }

// lock makes the folder and keeps other runs out of it until unlock: of two
// runs at once, one would lose the only good registration token. The lock ends
// with the process, however that ends.
func (f File) lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for the registration cannot be made: %w", err)
	}
	info, err := os.Lstat(f.dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s must be a folder that only you can enter: chmod 700 %[1]s", filepath.Base(f.dir))
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = dir.Close()
		return nil, errors.New("another make register or make rotate-key is running: wait until it has ended")
	}
	return func() { _ = dir.Close() }, nil
}

// Load reads the file. A missing one is ErrNoFile. A file that others can
// read, or that is not whole, is refused and left as it is.
func (f File) Load() (Registration, error) {
	var r Registration
	info, err := os.Lstat(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%s: %w", f, ErrNoFile)
	}
	if err != nil {
		return r, err
	}
	if !info.Mode().IsRegular() {
		return r, fmt.Errorf("%s is not a plain file: move it away, and put the real one there", f)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return r, fmt.Errorf("other users may read or change %s, which holds the broker's key: "+
			"chmod 600 it, and run make rotate-key afterwards if somebody could have read it", f)
	}
	file, err := os.Open(f.path())
	if err != nil {
		return r, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return r, fmt.Errorf("%s cannot be read: %w", f, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	// A file that was cut off at the limit is not valid either. What json says
	// about a fault may quote the file, so it is not passed on.
	if !json.Valid(text) || decoder.Decode(&r) != nil || r.check() != nil {
		return Registration{}, fmt.Errorf("%s is damaged: put your copy of it back, or move it away, "+
			"empty VOUCH_CLIENT_ID in wrangler.toml and run make register for a new client", f)
	}
	return r, nil
}

// save replaces the file as one step: after a crash it holds either r or what it
// held before, whole.
func (f File) save(r Registration) error {
	if err := f.replace(r); err != nil {
		return fmt.Errorf("%s cannot be written: %w", f, err)
	}
	return nil
}

func (f File) replace(r Registration) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(f.dir, f.name+".*") // 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path())
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	// The rename is only on the disk once the folder is.
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
