package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

// bareClient is the value of asBot with which the test binary is no bot at all, but a
// Socket Mode client that acknowledges each envelope and does nothing else: the least that
// an acknowledgement can take on this machine, with these simulators.
const bareClient = "bare"

// acknowledgeAll is that client. It ends when its link does.
func acknowledgeAll(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("SLACK_API_URL")+"apps.connections.open", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("SLACK_APP_TOKEN"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var opened struct{ URL, Error string }
	if err := json.NewDecoder(res.Body).Decode(&opened); err != nil || opened.URL == "" {
		return fmt.Errorf("open a link: %s %w", opened.Error, err)
	}
	link, answer, err := websocket.DefaultDialer.DialContext(ctx, opened.URL, nil)
	if err != nil {
		return err
	}
	defer link.Close()
	defer answer.Body.Close()
	for {
		var envelope struct {
			ID string `json:"envelope_id"`
		}
		if err := link.ReadJSON(&envelope); err != nil {
			return err
		}
		if envelope.ID == "" {
			continue // hello
		}
		if err := link.WriteJSON(map[string]string{"envelope_id": envelope.ID}); err != nil {
			return err
		}
	}
}
