package mcp

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/strictjson"
)

// check says why a tool cannot be offered.
func (t *Tool) check() error {
	switch {
	case len(t.Name) > maxNameBytes || !ascii.Only(t.Name, ascii.Alphanumeric+"_-"):
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
	if !strictjson.Valid(string(schema), maxDepth) || gjson.GetBytes(schema, "type").Str != "object" {
		return errors.New(`the root must be a JSON object of type "object"`)
	}
	return checkSchema(gjson.ParseBytes(schema))
}

// checkSchema holds a schema, and those inside it, to the subset of New.
func checkSchema(schema gjson.Result) (err error) {
	if !schema.IsObject() {
		return errors.New("a schema must be an object")
	}
	schema.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "$schema", "$ref", "$defs", "anyOf", "oneOf", "allOf", "x-mcp-header":
			err = fmt.Errorf("%s is not accepted everywhere", key.Str)
		case "type":
			if value.Type != gjson.String {
				err = errors.New("type must be one name")
			}
		case "properties":
			err = checkProperties(value)
		case "items":
			err = checkSchema(value)
		case "additionalProperties":
			if !value.IsBool() {
				err = checkSchema(value)
			}
		}
		return err == nil
	})
	return err
}

func checkProperties(properties gjson.Result) (err error) {
	properties.ForEach(func(name, schema gjson.Result) bool {
		if schema.Get("type").Str == "" || schema.Get("description").Str == "" {
			err = fmt.Errorf("property %s needs a type and a description", name.Str)
			return false
		}
		if err = checkSchema(schema); err != nil {
			err = fmt.Errorf("property %s: %w", name.Str, err)
		}
		return err == nil
	})
	return err
}
