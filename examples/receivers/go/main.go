// Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	secondsMax = 5 * 60 // between our clock and theirs
	bytesMax   = 1024 * 1024
)

var (
	secrets = strings.Fields(os.Getenv("DEPTEX_SECRETS")) // two of them while you change over
	inbox   = setting("INBOX", "inbox")
	idForm  = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func mac(key []byte, parts ...[]byte) []byte {
	hash := hmac.New(sha256.New, key)
	for _, part := range parts {
		hash.Write(part)
	}
	return hash.Sum(nil)
}

// Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now.
func signedNow(headers http.Header, body []byte) string {
	id, sentAt := headers.Get("Webhook-Id"), headers.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	age := time.Now().Unix() - seconds
	if err != nil || age > secondsMax || age < -secondsMax {
		return ""
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			continue
		}
		sum := mac(key, []byte(id+"."+sentAt+"."), body)
		expected := []byte("v1," + base64.StdEncoding.EncodeToString(sum))
		for _, given := range strings.Split(headers.Get("Webhook-Signature"), " ") {
			if hmac.Equal([]byte(given), expected) {
				return id
			}
		}
	}
	return ""
}

// X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known.
func signed(headers http.Header, body []byte) string {
	for _, secret := range secrets {
		expected := []byte("sha256=" + hex.EncodeToString(mac([]byte(secret), body)))
		if hmac.Equal([]byte(headers.Get("X-Deptex-Signature")), expected) {
			event := struct {
				DeliveryID string `json:"delivery_id"`
			}{"test"}
			if json.Unmarshal(body, &event) == nil {
				return event.DeliveryID
			}
		}
	}
	return ""
}

// Whole or not at all, and under its id: one that is there already stays as it is.
func keep(id string, body []byte) error {
	file, err := os.CreateTemp(inbox, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err = file.Write(body); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Link(file.Name(), filepath.Join(inbox, id+".json"))
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func receiver(verify func(http.Header, []byte) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		// The bytes as they came: nothing is parsed yet.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bytesMax))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		id := verify(r.Header, body)
		if !idForm.MatchString(id) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := keep(id, body); err != nil {
			log.Print(err)
			w.WriteHeader(http.StatusInternalServerError) // Deptex will try again
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func main() {
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/webhooks", receiver(signedNow))
	http.HandleFunc("/webhooks/simple", receiver(signed))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+setting("PORT", "8080"), nil))
}
