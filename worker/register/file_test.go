package register

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestFileModes(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	for path, want := range map[string]os.FileMode{o.dir: 0o700, o.file().path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
	if entries, _ := os.ReadDir(o.dir); len(entries) != 1 {
		t.Errorf("%d files are left, want one", len(entries))
	}
}

// A file that is not as it was written is told, and stays as it is.
func TestFileIsRefused(t *testing.T) {
	overwrite := func(text string) func(*office) error {
		return func(o *office) error { return os.WriteFile(o.file().path(), []byte(text), 0o600) }
	}
	replace := func(old, with string) func(*office) error {
		return func(o *office) error {
			text, err := os.ReadFile(o.file().path())
			changed := strings.Replace(string(text), old, with, 1)
			if changed == string(text) {
				return errors.New("nothing to replace")
			}
			return errors.Join(err, os.WriteFile(o.file().path(), []byte(changed), 0o600))
		}
	}
	tests := []struct {
		name   string
		damage func(o *office) error
		want   string
	}{
		{"readable by the group", func(o *office) error { return os.Chmod(o.file().path(), 0o640) }, "chmod 600"},
		{"readable by all", func(o *office) error { return os.Chmod(o.file().path(), 0o604) }, "chmod 600"},
		{"folder open to all", func(o *office) error { return os.Chmod(o.dir, 0o755) }, "chmod 700"},
		{"link", func(o *office) error {
			return errors.Join(os.Rename(o.file().path(), o.dir+"/other"), os.Symlink("other", o.file().path()))
		}, "not a plain file"},
		{"empty", overwrite(""), "damaged"},
		{"not JSON", overwrite("x"), "damaged"},
		{"another object", overwrite("{}"), "damaged"},
		{"longer than any", replace("\n}\n", strings.Repeat(" ", maxFileBytes)+"\n}\n"), "damaged"},
		{"text behind the object", replace("\n}\n", "\n}\n{}"), "damaged"},
		{"unknown member", replace("{", `{"x":1,`), "damaged"},
		{"no issuer", replace(`"issuer"`, `"next_key"`), "damaged"},
		{"key spoiled", replace(`\"d\":\"`, `\"d\":\"A`), "damaged"},
		{"client id spoiled", replace(`"client_id": "`, `"client_id": "/`), "damaged"},
		{"no token", replace(`"registration_token"`, `"next_key"`), "damaged"},
		{"scheme of another Vouch", replace(`"http://`, `"https://`), "another Vouch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			o.must(o.register)
			client := o.kept().ClientID
			if err := tt.damage(o); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(o.file().path())
			err := o.register(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one on %s", err, tt.want)
			}
			if err := o.rotate(t.Context()); err == nil {
				t.Error("rotate-key took it")
			}
			after, _ := os.ReadFile(o.file().path())
			path := "/oauth/register"
			if string(after) != string(before) || o.vouch.Vouch.Count(path) != 1 || o.vouch.Vouch.Count(path+"/"+client) != 0 {
				t.Error("the file changed, or a request left")
			}
		})
	}
}

func TestOneRunAtATime(t *testing.T) {
	o := newOffice(t)
	unlock, err := o.file().lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.run(o.register); err == nil || !strings.Contains(err.Error(), "another make register") {
		t.Fatalf("error %v", err)
	}
	unlock()
	o.must(o.register)
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"issuer":"x","audience":"y","key":"{}"}`))
	f.Add([]byte(`{"key":1,"rotated_at":"z"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := File{t.TempDir(), "x.json"}
		if err := os.WriteFile(file.path(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := file.Load()
		if err == nil && r.check() != nil || err != nil && !reflect.DeepEqual(r, Registration{}) {
			t.Errorf("error %v with a registration that is not fit", err)
		}
	})
}
