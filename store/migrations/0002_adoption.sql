-- Whether everything that the cluster's agent holds was taken note of since this database was opened.

ALTER TABLE sessions ADD COLUMN adopted BOOLEAN NOT NULL DEFAULT FALSE;
