package slack

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// surface is where blocks are shown; it decides how many there may be and of which types.
type surface string

const (
	inMessage surface = "message"
	inModal   surface = "modal"
	inHome    surface = "home"
)

// maxBlockChars is about how much a message's blocks may hold in all; beyond it Slack
// answers msg_blocks_too_long. Slack documents no figure; this one was measured by others.
const maxBlockChars = 13200

// checker collects Slack's complaints about blocks, each with a JSON pointer.
type checker struct {
	surface  surface
	off      map[string]bool // types of blocks that the server does not know
	problems []string
	ids      map[string]bool
	seen     map[string]int // blocks by type
	chars    int
}

func (c *checker) bad(at, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...)+" [json-pointer:"+at+"]")
}

// blockTypes says which surface takes which block (docs.slack.dev, "Blocks").
func blockTypes() map[string][]surface {
	all := []surface{inMessage, inModal, inHome}
	return map[string][]surface{
		"actions": all, "context": all, "divider": all, "header": all, "image": all, "section": all, "rich_text": all,
		"input": all, "video": all,
		"file": {inMessage}, "markdown": {inMessage}, "table": {inMessage}, "data_table": {inMessage}, "data_visualization": {inMessage},
		"context_actions": {inMessage}, "alert": {inModal},
	}
}

// checkBlocks judges the blocks of a message. Slack's answer names what is wrong. It
// knows no blocks of the types that are off, as an older server.
func checkBlocks(blocks []any, where surface, off map[string]bool) error {
	c := &checker{surface: where, off: off, ids: map[string]bool{}, seen: map[string]int{}}
	c.blocks(blocks, "/blocks", 50)
	if len(c.problems) > 0 {
		return blockError("invalid_blocks", c.problems)
	}
	if c.chars > maxBlockChars {
		return fail("msg_blocks_too_long")
	}
	return nil
}

func blockError(code string, problems []string) error {
	var messages []string
	for _, p := range problems {
		messages = append(messages, "[ERROR] "+p)
	}
	return &apiError{code: code, messages: messages, extra: object{"errors": problems}}
}

// checkView judges a modal or a Home tab (docs.slack.dev, "Views").
func checkView(v object, kind string) error {
	c := &checker{surface: surface(kind), ids: map[string]bool{}, seen: map[string]int{}}
	if v["type"] != kind {
		c.bad("/view/type", "must be %s", kind)
	}
	if kind == "modal" {
		c.text(v["title"], "/view/title", textRule{most: 24, plain: true, need: true})
		c.text(v["submit"], "/view/submit", textRule{most: 24, plain: true})
		c.text(v["close"], "/view/close", textRule{most: 24, plain: true})
	}
	for key, most := range map[string]int{"callback_id": 255, "external_id": 255, "private_metadata": 3000} {
		c.word(v, key, "/view", most)
	}
	blocks, ok := v["blocks"].([]any)
	if !ok {
		c.bad("/view", "missing required field: blocks")
	}
	c.blocks(blocks, "/view/blocks", 100)
	if kind == "modal" && c.seen["input"] > 0 && v["submit"] == nil {
		c.bad("/view", "missing required field: submit")
	}
	if len(c.problems) > 0 {
		return blockError("invalid_arguments", c.problems)
	}
	return nil
}

func (c *checker) blocks(blocks []any, at string, most int) {
	if len(blocks) > most {
		c.bad(at, "no more than %d items allowed", most)
		return
	}
	for i, b := range blocks {
		here := fmt.Sprintf("%s/%d", at, i)
		block, ok := b.(object)
		if !ok {
			c.bad(here, "must be an object")
			continue
		}
		kind, _ := block["type"].(string)
		where, known := blockTypes()[kind]
		switch {
		case kind == "":
			c.bad(here, "missing required field: type")
			continue
		case !known || c.off[kind] || !slices.Contains(where, c.surface):
			c.bad(here+"/type", "unsupported type: %s", kind)
			continue
		}
		c.seen[kind]++
		c.word(block, "block_id", here, 255)
		if id, _ := block["block_id"].(string); id != "" {
			if c.ids[id] {
				c.bad(here, "`block_id` %s already exists", id)
			}
			c.ids[id] = true
		}
		c.block(kind, block, here)
	}
	for kind, most := range map[string]int{"table": 1, "data_visualization": 2} {
		if c.seen[kind] > most {
			c.bad(at, "no more than %d %s blocks allowed", most, kind)
		}
	}
}

func (c *checker) block(kind string, block object, at string) {
	elements, _ := block["elements"].([]any)
	switch kind {
	case "section":
		fields, hasFields := block["fields"].([]any)
		if block["text"] == nil && !hasFields {
			c.bad(at, "missing required field: text")
		}
		c.text(block["text"], at+"/text", textRule{most: 3000})
		if len(fields) > 10 {
			c.bad(at+"/fields", "no more than 10 items allowed")
		}
		for i, f := range fields {
			c.text(f, fmt.Sprintf("%s/fields/%d", at, i), textRule{most: 2000, need: true})
		}
		if accessory, ok := block["accessory"].(object); ok {
			c.element(accessory, at+"/accessory")
		}
	case "header":
		c.text(block["text"], at+"/text", textRule{most: 150, plain: true, need: true})
	case "alert":
		c.text(block["text"], at+"/text", textRule{most: 200, need: true})
	case "actions", "context_actions":
		most := 25
		if kind == "context_actions" {
			most = 5
		}
		c.count(len(elements), at+"/elements", 1, most)
		c.elements(elements, at)
	case "context":
		c.count(len(elements), at+"/elements", 1, 10)
		for i, e := range elements {
			here := fmt.Sprintf("%s/elements/%d", at, i)
			if el, ok := e.(object); ok && el["type"] == "image" {
				c.image(el, here)
			} else {
				c.text(e, here, textRule{most: 3000, need: true})
			}
		}
	case "image":
		c.image(block, at)
		c.text(block["title"], at+"/title", textRule{most: 2000, plain: true})
	case "input":
		c.text(block["label"], at+"/label", textRule{most: 2000, plain: true, need: true})
		c.text(block["hint"], at+"/hint", textRule{most: 2000, plain: true})
		el, ok := block["element"].(object)
		if !ok {
			c.bad(at, "missing required field: element")
			return
		}
		c.element(el, at+"/element")
	case "markdown":
		if text, _ := block["text"].(string); text == "" {
			c.bad(at, "missing required field: text")
		} else if c.count12k(text) {
			c.bad(at+"/text", "must be less than 12001 characters")
		}
	case "table":
		c.table(block, at)
	case "data_visualization":
		c.chart(block, at)
	case "rich_text":
		if elements == nil {
			c.bad(at, "missing required field: elements")
		}
		c.measure(elements)
	case "video":
		for _, key := range []string{"alt_text", "title", "thumbnail_url", "video_url"} {
			if block[key] == nil {
				c.bad(at, "missing required field: %s", key)
			}
		}
	}
}

func (c *checker) count12k(text string) bool {
	n := utf8.RuneCountInString(text)
	c.chars += n
	return n > 12000
}

// measure counts the characters of every text inside, for the limit on the whole.
func (c *checker) measure(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			c.measure(item)
		}
	case object:
		for key, item := range v {
			if text, ok := item.(string); ok && (key == "text" || key == "label" || key == "name") {
				c.chars += utf8.RuneCountInString(text)
			}
			c.measure(item)
		}
	}
}

func (c *checker) count(n int, at string, least, most int) {
	switch {
	case n < least:
		c.bad(at, "no less than %d items allowed", least)
	case n > most:
		c.bad(at, "no more than %d items allowed", most)
	}
}

// word judges a plain string field that may be absent.
func (c *checker) word(o object, key, at string, most int) {
	v, given := o[key]
	if !given || v == nil {
		return
	}
	text, ok := v.(string)
	switch {
	case !ok:
		c.bad(at+"/"+key, "must be a string")
	case utf8.RuneCountInString(text) > most:
		c.bad(at+"/"+key, "must be less than %d characters", most+1)
	}
}

type textRule struct {
	most  int
	plain bool // plain_text only
	need  bool
}

// text judges a text object. Slack counts characters, not bytes.
func (c *checker) text(v any, at string, rule textRule) {
	if v == nil {
		if rule.need {
			c.bad(at, "missing required field: %s", at[strings.LastIndexByte(at, '/')+1:])
		}
		return
	}
	o, _ := v.(object)
	text, isText := o["text"].(string)
	n := utf8.RuneCountInString(text)
	c.chars += n
	switch kind := o["type"]; {
	case kind != "plain_text" && (kind != "mrkdwn" || rule.plain):
		c.bad(at+"/type", "unsupported type: %v", kind)
	case !isText:
		c.bad(at, "missing required field: text")
	case n == 0:
		c.bad(at+"/text", "must be more than 0 characters")
	case n > rule.most:
		c.bad(at+"/text", "must be less than %d characters", rule.most+1)
	case kind == "mrkdwn" && o["emoji"] != nil:
		c.bad(at, "additional property: emoji")
	case kind == "plain_text" && o["verbatim"] != nil:
		c.bad(at, "additional property: verbatim")
	}
}

func (c *checker) image(o object, at string) {
	if alt, ok := o["alt_text"].(string); !ok {
		c.bad(at, "missing required field: alt_text")
	} else if utf8.RuneCountInString(alt) > 2000 {
		c.bad(at+"/alt_text", "must be less than 2001 characters")
	}
	url, _ := o["image_url"].(string)
	switch {
	case url == "" && o["slack_file"] == nil:
		c.bad(at, "missing required field: image_url")
	case len(url) > 3000:
		c.bad(at+"/image_url", "must be less than 3001 characters")
	case url != "" && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://"):
		c.bad(at+"/image_url", "invalid url")
	}
}

// elements judges the elements of one actions block, whose action ids are unique.
func (c *checker) elements(elements []any, at string) {
	ids := map[string]bool{}
	for i, e := range elements {
		here := fmt.Sprintf("%s/elements/%d", at, i)
		el, ok := e.(object)
		if !ok {
			c.bad(here, "must be an object")
			continue
		}
		if id, _ := el["action_id"].(string); id != "" {
			if ids[id] {
				c.bad(here, "`action_id` %s already exists", id)
			}
			ids[id] = true
		}
		c.element(el, here)
	}
}

// element judges one interactive element (docs.slack.dev, "Block elements").
func (c *checker) element(el object, at string) {
	c.word(el, "action_id", at, 255)
	c.confirm(el["confirm"], at+"/confirm")
	switch kind, _ := el["type"].(string); kind {
	case "image":
		c.image(el, at)
	case "button", "workflow_button", "icon_button", "feedback_buttons":
		if kind != "button" {
			return
		}
		c.text(el["text"], at+"/text", textRule{most: 75, plain: true, need: true})
		c.word(el, "value", at, 2000)
		c.word(el, "url", at, 3000)
		c.word(el, "accessibility_label", at, 75)
		if style := el["style"]; style != nil && style != "primary" && style != "danger" {
			c.bad(at+"/style", "invalid style: %v", style)
		}
	case "static_select", "multi_static_select":
		c.text(el["placeholder"], at+"/placeholder", textRule{most: 150, plain: true})
		c.options(el, at, 100)
	case "overflow":
		c.options(el, at, 5)
	case "checkboxes", "radio_buttons":
		c.options(el, at, 10)
	case "plain_text_input", "number_input", "email_text_input", "url_text_input":
		c.text(el["placeholder"], at+"/placeholder", textRule{most: 150, plain: true})
		c.word(el, "initial_value", at, 3000)
	case "external_select", "users_select", "conversations_select", "channels_select", "multi_external_select", "multi_users_select",
		"multi_conversations_select", "multi_channels_select", "datepicker", "timepicker", "datetimepicker", "rich_text_input", "file_input":
		c.text(el["placeholder"], at+"/placeholder", textRule{most: 150, plain: true})
	default:
		c.bad(at+"/type", "unsupported type: %s", kind)
	}
}

func (c *checker) options(el object, at string, most int) {
	groups, grouped := el["option_groups"].([]any)
	if grouped {
		c.count(len(groups), at+"/option_groups", 1, 100)
		for i, g := range groups {
			group, _ := g.(object)
			here := fmt.Sprintf("%s/option_groups/%d", at, i)
			c.text(group["label"], here+"/label", textRule{most: 75, plain: true, need: true})
			c.optionList(group, here, most)
		}
		return
	}
	c.optionList(el, at, most)
}

func (c *checker) optionList(el object, at string, most int) {
	list, _ := el["options"].([]any)
	c.count(len(list), at+"/options", 1, most)
	for i, o := range list {
		option, _ := o.(object)
		here := fmt.Sprintf("%s/options/%d", at, i)
		kind, _ := el["type"].(string)
		c.text(option["text"], here+"/text", textRule{most: 75, plain: kind != "checkboxes" && kind != "radio_buttons", need: true})
		c.text(option["description"], here+"/description", textRule{most: 75})
		if option["value"] == nil {
			c.bad(here, "missing required field: value")
		}
		c.word(option, "value", here, 150)
	}
}

func (c *checker) confirm(v any, at string) {
	if v == nil {
		return
	}
	o, _ := v.(object)
	c.text(o["title"], at+"/title", textRule{most: 100, plain: true, need: true})
	c.text(o["text"], at+"/text", textRule{most: 300, need: true})
	c.text(o["confirm"], at+"/confirm", textRule{most: 30, plain: true, need: true})
	c.text(o["deny"], at+"/deny", textRule{most: 30, plain: true, need: true})
}

// giveIDs fills in the block and action ids that Slack makes up where the app gave
// none, as answers and payloads show them.
func giveIDs(blocks []any) {
	for i, b := range blocks {
		block, ok := b.(object)
		if !ok {
			continue
		}
		if id, _ := block["block_id"].(string); id == "" {
			block["block_id"] = fmt.Sprintf("gen%d%s", i, secret()[:4])
		}
		for j, el := range elementsOf(block) {
			if id, _ := el["action_id"].(string); id == "" && el["type"] != "image" {
				el["action_id"] = fmt.Sprintf("act%d%s", j, secret()[:4])
			}
		}
	}
}

// elementsOf are the elements of a block that a person can act on.
func elementsOf(block object) []object {
	var found []object
	take := func(v any) {
		if el, ok := v.(object); ok {
			found = append(found, el)
		}
	}
	if kind := block["type"]; kind == "actions" || kind == "context_actions" {
		elements, _ := block["elements"].([]any)
		for _, e := range elements {
			take(e)
		}
	}
	take(block["accessory"])
	take(block["element"])
	return found
}

// stateOf is the state.values of blocks that hold input elements: their initial values, over
// what a person has entered already.
func stateOf(blocks []any, entered map[string]any) map[string]any {
	state := map[string]any{}
	for _, b := range blocks {
		block, _ := b.(object)
		blockID, _ := block["block_id"].(string)
		for _, el := range elementsOf(block) {
			kind, _ := el["type"].(string)
			if kind == "button" || kind == "image" || kind == "overflow" || kind == "" {
				continue
			}
			actionID, _ := el["action_id"].(string)
			values, _ := state[blockID].(object)
			if values == nil {
				values = object{}
				state[blockID] = values
			}
			values[actionID] = initialOf(el)
			if before, _ := entered[blockID].(object); before[actionID] != nil {
				values[actionID] = before[actionID]
			}
		}
	}
	return state
}

// initialOf is the value of an input element that nobody has touched.
func initialOf(el object) object {
	kind, _ := el["type"].(string)
	v := object{"type": kind}
	switch kind {
	case "static_select", "external_select", "radio_buttons":
		v["selected_option"] = el["initial_option"]
	case "multi_static_select", "multi_external_select", "checkboxes":
		v["selected_options"] = []any{}
		if chosen, ok := el["initial_options"].([]any); ok {
			v["selected_options"] = chosen
		}
	case "users_select":
		v["selected_user"] = el["initial_user"]
	case "channels_select":
		v["selected_channel"] = el["initial_channel"]
	case "conversations_select":
		v["selected_conversation"] = el["initial_conversation"]
	case "datepicker":
		v["selected_date"] = el["initial_date"]
	case "timepicker":
		v["selected_time"] = el["initial_time"]
	default:
		v["value"] = el["initial_value"]
	}
	return v
}
