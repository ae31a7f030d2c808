package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one thing that is wrong with a document, or, from Warnings, one
// that works otherwise than its writer may think.
type Fault struct {
	// Line and Column say where, both from 1. A column is one character.
	Line, Column int
	// Problem says what is wrong and what to do, in one sentence.
	Problem string
}

func (f *Fault) Error() string {
	return strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column) + ": " + f.Problem
}

// Faults takes apart the error of Compile.
func Faults(err error) []*Fault {
	var all []*Fault
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			all = append(all, Faults(err)...)
		}
		return all
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		all = append(all, f)
	}
	return all
}

// faults gathers what is wrong with one document.
type faults struct {
	document string
	found    []*Fault
	places   []int // the offset of each
	where    func() string
	// unsure says that a rule or profile could not be read as it is meant, so
	// that trying the tests would mislead.
	unsure bool
}

// within puts a name before the faults added until the function it returns is
// called. Most documents have no fault, so the name is made when it is needed.
func (f *faults) within(name func() string) func() {
	was := f.where
	f.where = name
	return func() { f.where = was }
}

// add notes a fault at a byte's offset that leaves the meaning open.
func (f *faults) add(at int, problem string, args ...any) {
	f.unsure = true
	f.aside(at, problem, args...)
}

// aside notes a fault beside which everything else means what it says. One place
// has one fault: what follows from it would only hide it.
func (f *faults) aside(at int, problem string, args ...any) {
	if len(f.found) > maxFaults || slices.Contains(f.places, at) {
		return
	}
	problem = fmt.Sprintf(problem, args...)
	if f.where != nil {
		problem = f.where() + ": " + problem
	}
	if len(f.found) == maxFaults {
		problem = "there are more faults than these: mend them and check again"
	}
	f.places = append(f.places, at)
	f.found = append(f.found, f.fault(at, problem))
}

func (f *faults) fault(at int, problem string) *Fault {
	before := f.document[:at]
	line := strings.LastIndexByte(before, '\n') + 1
	return &Fault{
		Line:    1 + strings.Count(before, "\n"),
		Column:  1 + utf8.RuneCountInString(before[line:]),
		Problem: problem,
	}
}

// err joins the faults in the order of the document.
func (f *faults) err() error {
	if len(f.found) == 0 {
		return nil
	}
	inOrder(f.found)
	all := make([]error, len(f.found))
	for i, fault := range f.found {
		all[i] = fault
	}
	return errors.Join(all...)
}

// inOrder sorts by place. They are few.
func inOrder(all []*Fault) {
	for i := range all {
		for j := i; j > 0 && before(all[j], all[j-1]); j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

func before(a, b *Fault) bool {
	return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
}

// quote repeats a value of the document, cut to what fits a sentence.
func quote(s string) string {
	const most = 60
	if strings.Contains(strings.ToLower(s), "secret-key-") {
		return "(a secret key: it does not belong here, take it for known and make a new one)"
	}
	if len(s) > most {
		cut := most
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return strconv.QuoteToGraphic(s)
}
