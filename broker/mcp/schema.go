package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"mcp-credential-broker/broker/strictjson"
)

const nameLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// check says why a tool cannot be offered.
func (t *Tool) check() error {
	switch {
	case t.Name == "" || len(t.Name) > maxNameBytes || strings.Trim(t.Name, nameLetters) != "":
		return errors.New("the name must be 1 to 64 letters, digits, _ and -")
	case t.Title == "" || t.Description == "":
		return errors.New("it needs a title and a description")
	}
	if err := checkRoot(t.InputSchema); err != nil {
		return fmt.Errorf("input schema: %w", err)
	}
	if t.OutputSchema == nil {
		return nil
	}
	if err := checkRoot(t.OutputSchema); err != nil {
		return fmt.Errorf("output schema: %w", err)
	}
	return nil
}

func checkRoot(schema json.RawMessage) error {
	if !strictjson.Valid(string(schema), maxDepth) || strictjson.Of(strictjson.Parse(string(schema))).Member("type").Str != "object" {
		return errors.New(`the root must be a JSON object of type "object"`)
	}
	return checkSchema(strictjson.Parse(string(schema)))
}

// checkSchema holds a schema, and those inside it, to the subset of New.
func checkSchema(schema strictjson.Value) (err error) {
	if !schema.IsObject() {
		return errors.New("a schema must be an object")
	}
	for key, value := range schema.Members() {
		switch key {
		case "$schema", "$ref", "$defs", "anyOf", "oneOf", "allOf", "x-mcp-header":
			err = fmt.Errorf("%s is not accepted everywhere", key)
		case "type":
			if value.Type != strictjson.String {
				err = errors.New("type must be one name")
			}
		case "properties":
			err = checkProperties(value)
		case "items":
			err = checkSchema(value)
		case "additionalProperties":
			if value.Type != strictjson.True && value.Type != strictjson.False {
				err = checkSchema(value)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkProperties(properties strictjson.Value) error {
	for name, schema := range properties.Members() {
		members := strictjson.Of(schema)
		if members.Member("type").Str == "" || members.Member("description").Str == "" {
			return fmt.Errorf("property %s needs a type and a description", name)
		}
		if err := checkSchema(schema); err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
	}
	return nil
}
