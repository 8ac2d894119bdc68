-- Run this once, as the owner of the database.
CREATE TABLE events (id bigserial PRIMARY KEY, payload jsonb NOT NULL);

CREATE FUNCTION notify_events() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NOTIFY events; RETURN NULL; END $$;

CREATE TRIGGER events_notify AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION notify_events();
