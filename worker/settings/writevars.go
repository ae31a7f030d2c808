package settings

import (
	"fmt"
	"os"
	"strings"
)

// WriteVars sets variables in one table of wrangler.toml, each on a line of its
// own, and leaves every other byte of the file as it is. A variable that is there
// is replaced, others follow the table's heading.
func WriteVars(path, table string, vars [][2]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	heading, end := -1, len(lines)
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "[") {
			continue
		}
		if heading >= 0 {
			end = i
			break
		}
		if bare, _, _ := strings.Cut(line, "#"); strings.TrimSpace(bare) == "["+table+"]" {
			heading = i
		}
	}
	if heading < 0 {
		return fmt.Errorf("wrangler.toml has no [%s] on a line of its own: add it, or set the variables by hand", table)
	}
	var added []string
	for _, v := range vars {
		line, found := fmt.Sprintf("%s = %q", v[0], v[1]), false
		for i := heading + 1; i < end; i++ {
			if name, _, ok := strings.Cut(lines[i], "="); ok && strings.TrimSpace(name) == v[0] {
				lines[i], found = line, true
			}
		}
		if !found {
			added = append(added, line)
		}
	}
	lines = append(lines[:heading+1], append(added, lines[heading+1:]...)...)
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
